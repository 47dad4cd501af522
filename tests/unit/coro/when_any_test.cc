#include "coro/when_any.h"

#include <string>

#include <gtest/gtest.h>

#include "coro/event.h"
#include "coro/yield.h"
#include "tests/support/counted.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::counted;
using test::test_executor;

task<result<int>> wait_then(event& go, int value) {
    auto waited = co_await go.wait();
    if (!waited) {
        co_return propagate(waited);
    }
    co_return value;
}
task<std::string> immediately() {
    co_return "first";
}
// Takes a few turns to end after it was stopped, as an operation in the kernel does.
task<int> slow_to_stop(counted, event& never_set) {
    std::ignore = co_await never_set.wait();
    co_await yield();
    co_await yield();
    co_return 0;
}

TEST(when_any, the_first_to_finish_wins_and_the_index_tells_which) {
    test_executor loop;
    event never_set;
    const auto winner = loop.run(when_any(wait_then(never_set, 1), immediately()));
    ASSERT_EQ(winner.index(), 1U);
    EXPECT_EQ(std::get<1>(winner), "first");
}

TEST(when_any, stops_and_joins_the_losers_before_it_returns) {
    test_executor loop;
    counted::tally tally;
    event never_set;
    const auto winner = loop.run(when_any(slow_to_stop(counted(tally), never_set), immediately(),
                                          slow_to_stop(counted(tally), never_set)));
    EXPECT_EQ(winner.index(), 1U);
    EXPECT_EQ(tally.alive, 0);
}

TEST(when_any, of_two_that_finish_in_one_turn_the_first_stays_the_winner) {
    test_executor loop;
    const auto winner = loop.run(when_any(immediately(), immediately()));
    EXPECT_EQ(winner.index(), 0U);
}

TEST(when_any, stop_from_outside_reaches_all_and_it_still_returns_a_result) {
    test_executor loop;
    event never_set;
    auto racing = loop.start(when_any(wait_then(never_set, 1), wait_then(never_set, 2)));
    loop.run_ready_tasks();
    EXPECT_FALSE(racing.done());
    racing.stop();
    const auto winner = racing.get();
    ASSERT_EQ(winner.index(), 0U);
    EXPECT_EQ(std::get<0>(winner).error().code, errc::cancelled);
}

TEST(when_any, a_stop_that_comes_from_the_winner_does_not_stop_the_caller) {
    test_executor loop;
    loop.run([]() -> task<> {
        event never_set;
        std::ignore = co_await when_any(wait_then(never_set, 1), immediately());
        const stop_source* mine = co_await current_stop();
        EXPECT_FALSE(mine->requested());
    }());
}

}  // namespace
}  // namespace hearth
