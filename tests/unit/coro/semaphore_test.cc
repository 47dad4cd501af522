#include "coro/semaphore.h"

#include <vector>

#include <gtest/gtest.h>

#include "coro/yield.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

task<> use_permit(semaphore& permits, std::vector<int>& order, int name) {
    EXPECT_TRUE(co_await permits.acquire());
    order.push_back(name);
    co_await yield();
    permits.release();
}

TEST(semaphore, lets_in_as_many_as_it_has_permits) {
    semaphore permits(2);
    EXPECT_TRUE(permits.try_acquire());
    EXPECT_TRUE(permits.try_acquire());
    EXPECT_FALSE(permits.try_acquire());
    permits.release();
    EXPECT_EQ(permits.available(), 1U);
    EXPECT_TRUE(permits.try_acquire());
}

TEST(semaphore, serves_in_the_order_of_arrival) {
    test_executor loop;
    semaphore permits(1);
    std::vector<int> order;
    scope users;
    for (int name = 0; name < 5; ++name) {
        users.spawn(use_permit(permits, order, name));
    }
    loop.run(users.join());
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
    EXPECT_EQ(permits.available(), 1U);
}

TEST(semaphore, a_released_permit_goes_to_the_waiter_and_cannot_be_overtaken) {
    test_executor loop;
    semaphore permits(1);
    EXPECT_TRUE(permits.try_acquire());
    auto waiting = loop.start(permits.acquire());
    loop.run_ready_tasks();
    permits.release();
    EXPECT_FALSE(permits.try_acquire());
    EXPECT_TRUE(waiting.get());
    permits.release();
    EXPECT_EQ(permits.available(), 1U);
}

TEST(semaphore, a_waiter_that_gives_up_takes_no_permit) {
    test_executor loop;
    semaphore permits(1);
    EXPECT_TRUE(permits.try_acquire());
    auto stopped = loop.start(permits.acquire());
    auto next = loop.start(permits.acquire());
    loop.run_ready_tasks();
    EXPECT_EQ(loop.run(permits.acquire(test::passed())).error().code, errc::deadline_exceeded);
    stopped.stop();
    EXPECT_EQ(stopped.get().error().code, errc::cancelled);
    permits.release();
    EXPECT_TRUE(next.get());
    permits.release();
    EXPECT_EQ(permits.available(), 1U);
}

TEST(semaphore, a_permit_handed_over_is_kept_though_its_taker_is_stopped_meanwhile) {
    test_executor loop;
    semaphore permits(1);
    EXPECT_TRUE(permits.try_acquire());
    auto waiting = loop.start(permits.acquire());
    loop.run_ready_tasks();
    permits.release();
    waiting.stop();
    EXPECT_TRUE(waiting.get());  // so that the permit is not lost
}

}  // namespace
}  // namespace hearth
