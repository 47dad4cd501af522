#pragma once

#include <concepts>
#include <coroutine>
#include <utility>

#include "coro/promise.h"
#include "coro/stop.h"

namespace hearth::http {

// `co_await exchange_stop(s)`: from here on, what the calling coroutine awaits listens to `s`,
// which outlives that. Returns what it listened to before, to be put back.
class exchange_stop {
public:
    explicit exchange_stop(stop_source* stop) noexcept : stop_(stop) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> caller) noexcept {
        std::swap(caller.promise().stop, stop_);
        return false;
    }
    stop_source* await_resume() const noexcept { return stop_; }

private:
    stop_source* stop_;
};

}  // namespace hearth::http
