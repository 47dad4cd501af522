#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <source_location>
#include <utility>

#include "coro/frame_pool.h"
#include "coro/stop.h"

namespace hearth {

// What every coroutine of Hearth carries: the stop it listens to (inherited from whoever awaits
// it), its place in the tree of tasks, and where it is suspended.
class promise_base {
public:
    stop_source* stop = nullptr;      // null: cannot be stopped
    promise_base* awaited = nullptr;  // the task this one waits for, for the task dump
    std::source_location suspended_at = std::source_location::current();

    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }

    template <class Awaitable>
    Awaitable&& await_transform(
        Awaitable&& awaitable,
        std::source_location where = std::source_location::current()) noexcept {
        suspended_at = where;
        return std::forward<Awaitable>(awaitable);
    }

    [[nodiscard]] bool stop_requested() const noexcept {
        return stop != nullptr && stop->requested();
    }

    // Exceptions do not cross coroutines: errors are values here, so one that arrives is a bug.
    [[noreturn]] static void unhandled_exception() noexcept;

protected:
    promise_base() noexcept = default;
};

// `co_await current_stop()`: the calling coroutine's stop source, or null.
class current_stop {
public:
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> caller) noexcept {
        stop_ = caller.promise().stop;
        return false;
    }
    [[nodiscard]] stop_source* await_resume() const noexcept { return stop_; }

private:
    stop_source* stop_ = nullptr;
};

}  // namespace hearth
