#include "uring/signals.h"

#include <csignal>

#include <gtest/gtest.h>

#include "tests/support/test_executor.h"
#include "uring/ring.h"

namespace hearth::uring {
namespace {

using test::soon;

TEST(signals, arrive_as_values_one_by_one) {
    auto watch = signal_watch::create({SIGUSR1, SIGUSR2});
    ASSERT_TRUE(watch) << watch.error().message;
    auto loop = ring::create().value();
    ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
    EXPECT_EQ(loop->run(watch->next(soon())).value(), SIGUSR1);
    ASSERT_EQ(::kill(::getpid(), SIGUSR2), 0);
    EXPECT_EQ(loop->run(watch->next(soon())).value(), SIGUSR2);
    EXPECT_EQ(loop->run(watch->next(after(milliseconds(2)))).error().code, errc::deadline_exceeded);
}

TEST(signals, one_that_comes_while_it_is_awaited_wakes_the_loop) {
    auto watch = signal_watch::create({SIGUSR1});
    ASSERT_TRUE(watch);
    auto loop = ring::create().value();
    loop->run([](signal_watch& signals) -> task<> {
        scope tasks;
        tasks.spawn([](signal_watch& where) -> task<> {
            EXPECT_EQ((co_await where.next(soon())).value(), SIGUSR1);
        }(signals));
        co_await sleep_until(after(milliseconds(1)));
        EXPECT_EQ(::kill(::getpid(), SIGUSR1), 0);
        co_await tasks.join();
    }(*watch));
}

TEST(signals, waiting_for_one_ends_when_stopped) {
    auto watch = signal_watch::create({SIGUSR1});
    ASSERT_TRUE(watch);
    auto loop = ring::create().value();
    loop->run([](signal_watch& signals) -> task<> {
        scope tasks;
        tasks.spawn([](signal_watch& where) -> task<> {
            EXPECT_EQ((co_await where.next(soon())).error().code, errc::cancelled);
        }(signals));
        co_await sleep_until(after(milliseconds(1)));
        tasks.request_stop();
        co_await tasks.join();
    }(*watch));
}

}  // namespace
}  // namespace hearth::uring
