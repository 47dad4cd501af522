#include "coro/wait_list.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

task<result<>> wait_on(wait_list& list, deadline until = never) {
    co_return co_await list.wait(until);
}
task<> record_wake(wait_list& list, std::vector<int>& order, int name) {
    std::ignore = co_await list.wait();
    order.push_back(name);
}

TEST(wait_list, wakes_in_the_order_of_arrival) {
    test_executor loop;
    wait_list list;
    std::vector<int> order;
    auto one = loop.start(record_wake(list, order, 1));
    auto two = loop.start(record_wake(list, order, 2));
    auto three = loop.start(record_wake(list, order, 3));
    loop.run_ready_tasks();
    EXPECT_TRUE(list.notify_one());
    loop.run_ready_tasks();
    EXPECT_EQ(order, (std::vector{1}));
    list.notify_all();
    loop.run_ready_tasks();
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
    EXPECT_FALSE(list.notify_one());
}

TEST(wait_list, fails_at_the_deadline_and_not_before) {
    test_executor loop;
    wait_list list;
    const deadline due = after(seconds(3600));
    auto waiting = loop.start(wait_on(list, due));
    loop.run_ready_tasks();
    loop.timers().expire(due - nanoseconds(1));
    loop.run_ready_tasks();
    EXPECT_FALSE(waiting.done());
    loop.timers().expire(due);
    EXPECT_EQ(waiting.get().error().code, errc::deadline_exceeded);
    EXPECT_TRUE(list.empty());
}

TEST(wait_list, fails_when_stopped) {
    test_executor loop;
    wait_list list;
    auto waiting = loop.start(wait_on(list, after(seconds(3600))));
    loop.run_ready_tasks();
    waiting.stop();
    waiting.stop();
    EXPECT_EQ(waiting.get().error().code, errc::cancelled);
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(loop.timers().size(), 0U);
}

TEST(wait_list, does_not_suspend_when_stopped_before_it_waits) {
    test_executor loop;
    wait_list list;
    auto waiting = loop.start(wait_on(list));
    waiting.stop();
    EXPECT_EQ(waiting.get().error().code, errc::cancelled);
}

TEST(wait_list, the_first_of_notify_stop_and_deadline_decides) {
    test_executor loop;
    wait_list list;
    const deadline due = after(seconds(3600));
    auto notified = loop.start(wait_on(list, due));
    loop.run_ready_tasks();
    list.notify_one();
    notified.stop();
    loop.timers().expire(due);
    EXPECT_TRUE(notified.get());

    auto expired = loop.start(wait_on(list, due));
    loop.run_ready_tasks();
    loop.timers().expire(due);
    expired.stop();
    EXPECT_FALSE(list.notify_one());
    EXPECT_EQ(expired.get().error().code, errc::deadline_exceeded);
}

TEST(wait_list, an_unstoppable_wait_ends_by_notification_alone) {
    test_executor loop;
    wait_list list;
    auto waiting = loop.start([](wait_list& where) -> task<result<>> {
        co_return co_await where.wait_unstoppable();
    }(list));
    waiting.stop();
    loop.run_ready_tasks();
    EXPECT_FALSE(waiting.done());
    list.notify_one();
    EXPECT_TRUE(waiting.get());
}

TEST(wait_list, notifying_resumes_later_and_never_inside_the_call) {
    test_executor loop;
    wait_list list;
    std::vector<int> order;
    auto one = loop.start(record_wake(list, order, 1));
    loop.run_ready_tasks();
    list.notify_one();
    EXPECT_TRUE(order.empty());
    one.get();
    EXPECT_EQ(order.size(), 1U);
}

TEST(sleep_until, succeeds_at_its_time_and_is_cancelled_by_stop) {
    test_executor loop;
    const auto sleeper = [](deadline due) -> task<result<>> {
        co_return co_await sleep_until(due);
    };
    EXPECT_TRUE(loop.run(sleeper(after(milliseconds(1)))));
    EXPECT_TRUE(loop.run(sleeper(test::passed())));
    auto stopped = loop.start(sleeper(after(seconds(3600))));
    loop.run_ready_tasks();
    stopped.stop();
    EXPECT_EQ(stopped.get().error().code, errc::cancelled);
}

}  // namespace
}  // namespace hearth
