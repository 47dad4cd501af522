#include "coro/channel.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "coro/yield.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

task<> produce(channel<int>& values, int count) {
    for (int i = 0; i < count; ++i) {
        EXPECT_TRUE(co_await values.push(i));
    }
    values.close();
}
task<> consume(channel<int>& values, std::size_t capacity, std::vector<int>& got) {
    for (;;) {
        EXPECT_LE(values.size(), capacity);
        auto value = co_await values.pop();
        if (!value) {
            EXPECT_EQ(value.error().code, errc::closed);
            co_return;
        }
        got.push_back(*value);
    }
}

TEST(channel, passes_values_in_order_and_never_holds_more_than_its_capacity) {
    for (const std::size_t capacity : {1U, 2U, 7U}) {
        test_executor loop;
        channel<int> values(capacity);
        std::vector<int> got;
        scope both;
        both.spawn(consume(values, capacity, got));
        both.spawn(produce(values, 100));
        loop.run(both.join());
        ASSERT_EQ(got.size(), 100U);
        for (int i = 0; i < 100; ++i) {
            EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
        }
    }
}

TEST(channel, hands_every_value_to_exactly_one_of_several_consumers) {
    test_executor loop;
    channel<int> values(3);
    std::vector<int> got;
    scope all;
    for (int i = 0; i < 4; ++i) {
        all.spawn(consume(values, 3, got));
    }
    all.spawn(produce(values, 200));
    loop.run(all.join());
    std::ranges::sort(got);
    ASSERT_EQ(got.size(), 200U);
    EXPECT_EQ(got.front(), 0);
    EXPECT_EQ(std::ranges::adjacent_find(got), got.end());
}

TEST(channel, push_waits_while_it_is_full) {
    test_executor loop;
    channel<int> values(1);
    EXPECT_TRUE(values.try_push(1));
    int second = 2;
    EXPECT_FALSE(values.try_push(std::move(second)));
    auto waiting = loop.start(values.push(2));
    loop.run_ready_tasks();
    EXPECT_FALSE(waiting.done());
    EXPECT_EQ(loop.run(values.pop()).value(), 1);
    EXPECT_TRUE(waiting.get());
    EXPECT_EQ(loop.run(values.pop()).value(), 2);
}

TEST(channel, a_refused_value_is_untouched) {
    channel<std::unique_ptr<int>> values(1);
    EXPECT_TRUE(values.try_push(std::make_unique<int>(1)));
    auto mine = std::make_unique<int>(2);
    EXPECT_FALSE(values.try_push(std::move(mine)));
    ASSERT_NE(mine, nullptr);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(*mine, 2);
}

TEST(channel, deadlines_and_stop_end_waiting) {
    test_executor loop;
    channel<int> values(1);
    EXPECT_EQ(loop.run(values.pop(test::passed())).error().code, errc::deadline_exceeded);
    auto popping = loop.start(values.pop());
    loop.run_ready_tasks();
    popping.stop();
    EXPECT_EQ(popping.get().error().code, errc::cancelled);
    EXPECT_TRUE(values.try_push(1));
    EXPECT_EQ(loop.run(values.push(2, test::passed())).error().code, errc::deadline_exceeded);
    EXPECT_EQ(values.size(), 1U);
}

TEST(channel, values_can_be_taken_after_close_and_nothing_can_be_added) {
    test_executor loop;
    channel<int> values(2);
    EXPECT_TRUE(values.try_push(1));
    EXPECT_TRUE(values.try_push(2));
    auto blocked = loop.start(values.push(3));
    loop.run_ready_tasks();
    values.close();
    EXPECT_EQ(blocked.get().error().code, errc::closed);
    EXPECT_FALSE(values.try_push(4));
    EXPECT_EQ(loop.run(values.pop()).value(), 1);
    EXPECT_EQ(loop.run(values.pop()).value(), 2);
    EXPECT_EQ(loop.run(values.pop()).error().code, errc::closed);
}

TEST(channel, close_releases_all_who_wait_for_values) {
    test_executor loop;
    channel<int> values(1);
    auto one = loop.start(values.pop());
    auto two = loop.start(values.pop());
    loop.run_ready_tasks();
    values.close();
    EXPECT_EQ(one.get().error().code, errc::closed);
    EXPECT_EQ(two.get().error().code, errc::closed);
}

}  // namespace
}  // namespace hearth
