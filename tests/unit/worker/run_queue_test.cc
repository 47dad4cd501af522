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

class computing_threads {
public:
    explicit computing_threads(int count) {
        for (int i = 0; i < count; ++i) {
            threads_.emplace_back([this] {
                while (!done_.load(std::memory_order_relaxed)) {
                }
            });
        }
    }
    ~computing_threads() {
        done_ = true;
        for (std::thread& each : threads_) {
            each.join();
        }
    }
    computing_threads(const computing_threads&) = delete;
    computing_threads& operator=(const computing_threads&) = delete;

private:
    std::atomic<bool> done_{false};
    std::vector<std::thread> threads_;
};

TEST(run_queue, threads_that_compute_are_counted) {
    constexpr int threads = 6;
    run_queue host(1, 1);
    steady_time now = steady_clock::now();
    double crowded = 0;
    {
        const computing_threads busy(threads);
        crowded = after_looks(host, 200, now);
    }
    EXPECT_GE(crowded, threads - 0.5);
    EXPECT_LT(after_looks(host, 200, now), crowded);
}

TEST(run_queue, of_a_hosts_tasks_those_count_that_fall_to_our_processors) {
    const computing_threads busy(8);
    run_queue all(64, 64);
    run_queue few(2, 64);
    steady_time now = steady_clock::now();
    steady_time later = now;
    EXPECT_GE(after_looks(all, 200, now), 7);
    EXPECT_LT(after_looks(few, 200, later), 2) << "a container of a large host is always crowded";
}

TEST(run_queue, within_a_millisecond_it_is_not_looked_at_again) {
    run_queue host(1, 1);
    const steady_time now = steady_clock::now();
    const double first = host.mean(now);
    for (int i = 0; i < 1'000; ++i) {
        ASSERT_EQ(host.mean(now + microseconds(900)), first);
    }
}

}  // namespace
}  // namespace hearth::worker
