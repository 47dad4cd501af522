#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/clock.h"
#include "coro/executor.h"
#include "coro/scope.h"
#include "coro/task.h"

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
class test_executor final : public executor {
public:
    static constexpr seconds stall_max{60};

    test_executor() { set_current(this); }
    ~test_executor() override { set_current(nullptr); }

    // A started task. Ends (stopped and joined) with this object.
    template <class T>
    class pending;

    template <class T>
    [[nodiscard]] pending<T> start(task<T> work) {
        return pending<T>(*this, std::move(work));
    }

    template <class T>
    T run(task<T> work) {
        return start(std::move(work)).get();
    }

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

template <class T>
class test_executor::pending {
public:
    pending(test_executor& loop, task<T> work) : loop_(loop), state_(std::make_unique<state>()) {
        state_->tasks.spawn(store(std::move(work), *state_));
    }
    pending(pending&&) noexcept = default;
    ~pending() {
        if (state_) {
            stop();
            loop_.run_until([&] { return state_->tasks.size() == 0; });
        }
    }

    [[nodiscard]] bool done() const { return state_->finished; }
    void stop() { state_->tasks.request_stop(); }
    T get() {
        loop_.run_until([&] { return state_->tasks.size() == 0; });
        if constexpr (!std::is_void_v<T>) {
            return std::move(*state_->value);
        }
    }

private:
    struct nothing {};
    struct state {
        scope tasks;
        bool finished = false;
        std::optional<std::conditional_t<std::is_void_v<T>, nothing, T>> value;
    };

    static task<void> store(task<T> work, state& into) {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(work);
        } else {
            into.value.emplace(co_await std::move(work));
        }
        into.finished = true;
    }

    test_executor& loop_;
    std::unique_ptr<state> state_;
};

// A deadline that a correct test never reaches.
[[nodiscard]] inline deadline soon() {
    return after(seconds(30));
}
// One that passed before the call.
[[nodiscard]] inline deadline passed() {
    return steady_clock::now() - milliseconds(1);
}

}  // namespace hearth::test
