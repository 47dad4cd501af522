#include "coro/thread_pool.h"

#include <atomic>
#include <csignal>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

task<> compute(thread_pool& pool, int number, int& sum) {
    auto square = co_await pool.run([number] { return number * number; });
    sum += square.value();  // on the loop's thread: no lock
}

TEST(thread_pool, runs_elsewhere_and_returns_the_result_to_the_callers_thread) {
    test_executor loop;
    thread_pool pool(1, 8);
    loop.run([](thread_pool& threads) -> task<> {
        const auto home = std::this_thread::get_id();
        auto elsewhere = co_await threads.run(
            [] { return std::make_unique<std::thread::id>(std::this_thread::get_id()); });
        EXPECT_TRUE(elsewhere);
        EXPECT_NE(**elsewhere, home);
        EXPECT_EQ(std::this_thread::get_id(), home);
    }(pool));
}

TEST(thread_pool, many_jobs_on_several_threads_all_come_back) {
    test_executor loop;
    thread_pool pool(4, 1000);
    int sum = 0;
    scope callers;
    for (int i = 0; i < 1000; ++i) {
        callers.spawn(compute(pool, i, sum));
    }
    loop.run(callers.join());
    EXPECT_EQ(sum, 332'833'500);
}

task<> occupy(thread_pool& pool, std::latch& started, std::latch& release) {
    auto held = co_await pool.run([&] {
        started.count_down();
        release.wait();
        return true;
    });
    EXPECT_TRUE(held);
}

TEST(thread_pool, refuses_work_when_its_queue_is_full) {
    test_executor loop;
    thread_pool pool(1, 2);
    std::latch started(1);
    std::latch release(1);
    scope callers;
    int sum = 0;
    callers.spawn(occupy(pool, started, release));
    loop.run_ready_tasks();
    started.wait();
    callers.spawn(compute(pool, 2, sum));
    callers.spawn(compute(pool, 3, sum));
    loop.run_ready_tasks();
    EXPECT_EQ(pool.queue_depth(), 2U);
    const auto refused = loop.run(pool.run([] { return 0; }));
    EXPECT_EQ(refused.error().code, errc::limit_exceeded);
    release.count_down();
    loop.run(callers.join());
    EXPECT_EQ(sum, 13);
}

TEST(thread_pool, work_that_has_begun_is_awaited_though_its_caller_is_stopped) {
    test_executor loop;
    thread_pool pool(1, 2);
    std::latch started(1);
    std::latch release(1);
    auto pending = loop.start(occupy(pool, started, release));
    loop.run_ready_tasks();
    started.wait();
    pending.stop();
    loop.run_ready_tasks();
    EXPECT_FALSE(pending.done());
    release.count_down();
    pending.get();
}

TEST(thread_pool, its_threads_take_no_signals) {
    test_executor loop;
    thread_pool pool(1, 1);
    const auto blocked = loop.run(pool.run([] {
        sigset_t mask;
        pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        return sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGUSR1) == 1;
    }));
    EXPECT_TRUE(blocked.value());
}

}  // namespace
}  // namespace hearth
