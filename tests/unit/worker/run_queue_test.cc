// How crowded the host's processors are, by the kernel's own account.

#include "worker/run_queue.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace hearth::worker {
namespace {

// Looks at a clock of the test's, so that many looks take no time.
double after_looks(run_queue& host, int count, steady_time& now) {
    double mean = 0;
    for (int i = 0; i < count; ++i) {
        now += milliseconds(1);
        mean = host.mean(now);
    }
    return mean;
}

TEST(run_queue, threads_that_compute_are_counted) {
    std::atomic<bool> done{false};
    std::vector<std::thread> busy;
    constexpr int threads = 6;
    for (int i = 0; i < threads; ++i) {
        busy.emplace_back([&done] {
            while (!done.load(std::memory_order_relaxed)) {
            }
        });
    }
    run_queue host;
    steady_time now = steady_clock::now();
    const double crowded = after_looks(host, 200, now);
    done = true;
    for (std::thread& each : busy) {
        each.join();
    }
    EXPECT_GE(crowded, threads - 0.5);
    EXPECT_LT(after_looks(host, 200, now), crowded);
}

TEST(run_queue, within_a_millisecond_it_is_not_looked_at_again) {
    run_queue host;
    const steady_time now = steady_clock::now();
    const double first = host.mean(now);
    for (int i = 0; i < 1'000; ++i) {
        ASSERT_EQ(host.mean(now + microseconds(900)), first);
    }
}

}  // namespace
}  // namespace hearth::worker
