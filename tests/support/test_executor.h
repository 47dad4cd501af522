#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>

#include "base/clock.h"
#include "coro/executor.h"
#include "tests/support/test_loop.h"

namespace hearth::test {

// An event loop without a kernel for tests of coroutines: ready list, timers in real time and the
// mailbox of other threads, waiting on a condition variable in between. The thread that makes it is
// its thread. Nothing in it sleeps for synchronisation: run() returns as soon as the task is done.
//
//     test_executor loop;
//     auto answer = loop.run(queue.enqueue(job, soon()));       // one task to its end
//     auto waiting = loop.start(queue.receive(1, 1s, soon()));  // several at once
//     auto delivered = waiting.get();
//
// A test that makes no progress for stall_max is stopped with the tree of suspended tasks.
class test_executor final : public executor, public test_loop {
public:
    static constexpr seconds stall_max{60};

    test_executor() { set_current(this); }
    ~test_executor() override { set_current(nullptr); }

    // Turns the loop until `done` is true.
    void run_until(const std::function<bool()>& done) {
        const deadline stalled = after(stall_max);
        while (!done()) {
            turn();
            if (done() || has_ready()) {
                continue;
            }
            if (steady_clock::now() >= stalled) {
                std::cerr << "test made no progress; suspended tasks:\n" << dump_tasks();
                std::abort();
            }
            sleep_until(std::min(timers().next_due(), stalled));
        }
    }

    // Runs what is ready now, and what that makes ready, without waiting for anything.
    void run_ready_tasks() {
        do {
            turn();
        } while (has_ready());
    }

private:
    void join(scope& tasks) override {
        run_until([&] { return tasks.size() == 0; });
    }

    void turn() {
        run_remote();
        timers().expire(steady_clock::now());
        run_ready(1000);
    }

    void sleep_until(deadline until) {
        std::unique_lock lock(mutex_);
        wake_.wait_until(lock, until, [this] { return woken_; });
        woken_ = false;
    }

    void wake() noexcept override {
        // Notified under the lock: once it is released this object may be gone.
        const std::scoped_lock lock(mutex_);
        woken_ = true;
        wake_.notify_one();
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    bool woken_ = false;
};

}  // namespace hearth::test
