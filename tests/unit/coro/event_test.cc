#include "coro/event.h"

#include <gtest/gtest.h>

#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

TEST(event, releases_all_who_wait_and_stays_set) {
    test_executor loop;
    event happened;
    auto one = loop.start(happened.wait());
    auto two = loop.start(happened.wait());
    loop.run_ready_tasks();
    EXPECT_FALSE(one.done());
    happened.set();
    EXPECT_TRUE(one.get());
    EXPECT_TRUE(two.get());
    EXPECT_TRUE(happened.is_set());
    EXPECT_TRUE(loop.run(happened.wait(test::passed())));
}

TEST(event, those_woken_by_a_set_are_released_though_it_is_reset_at_once) {
    test_executor loop;
    event happened;
    auto waiting = loop.start(happened.wait());
    loop.run_ready_tasks();
    happened.set();
    happened.reset();
    EXPECT_TRUE(waiting.get());
    EXPECT_EQ(loop.run(happened.wait(test::passed())).error().code, errc::deadline_exceeded);
}

TEST(event, waiting_ends_when_stopped) {
    test_executor loop;
    event happened;
    auto waiting = loop.start(happened.wait());
    loop.run_ready_tasks();
    waiting.stop();
    EXPECT_EQ(waiting.get().error().code, errc::cancelled);
}

}  // namespace
}  // namespace hearth
