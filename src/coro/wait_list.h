#pragma once

#include <coroutine>

#include "base/clock.h"
#include "base/result.h"
#include "coro/executor.h"
#include "coro/promise.h"

namespace hearth {

// Coroutines that wait for somebody's word, in order of arrival; what event, semaphore and channel
// are made of. Each waiter is woken exactly once: notified, stopped, or at its deadline.
// Single-threaded.
class wait_list {
public:
    class [[nodiscard]] awaiter final : private list_hook<awaiter>,
                                        private stop_callback,
                                        private timer {
    public:
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <std::derived_from<promise_base> Promise>
        bool await_suspend(std::coroutine_handle<Promise> caller) {
            return start(caller, stoppable_ ? caller.promise().stop : nullptr);
        }
        // Success when notified; errc::cancelled or errc::deadline_exceeded otherwise.
        result<> await_resume();

    private:
        friend class wait_list;
        friend class intrusive_list<awaiter>;
        using position = list_hook<awaiter>;
        enum class wake_reason : std::uint8_t { none, notified, stopped, timed_out };

        awaiter(wait_list& list, deadline until, bool stoppable) noexcept
            : list_(list), until_(until), stoppable_(stoppable) {}
        bool start(std::coroutine_handle<> caller, stop_source* stop);
        void wake(wake_reason reason) noexcept;
        void on_stop() noexcept override { wake(wake_reason::stopped); }
        void on_timer() noexcept override { wake(wake_reason::timed_out); }

        wait_list& list_;
        deadline until_;
        bool stoppable_;
        std::coroutine_handle<> caller_;
        wake_reason reason_ = wake_reason::none;
    };

    awaiter wait(deadline until = never) noexcept { return {*this, until, true}; }
    // For what must be seen to its end: only notify ends this wait.
    awaiter wait_unstoppable() noexcept { return {*this, never, false}; }
    // Wakes the longest waiting; false when nobody waits.
    bool notify_one() noexcept;
    void notify_all() noexcept;
    [[nodiscard]] bool empty() const noexcept { return waiters_.empty(); }

private:
    intrusive_list<awaiter> waiters_;
};

// `co_await sleep_until(when)`: success at `when`; errc::cancelled when stopped before.
class sleep_until {
public:
    explicit sleep_until(deadline when) noexcept : inner_(list_.wait(when)) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> caller) {
        return inner_.await_suspend(caller);
    }
    result<> await_resume();

private:
    wait_list list_;
    wait_list::awaiter inner_;
};

}  // namespace hearth
