#pragma once

#include <concepts>
#include <coroutine>
#include <optional>
#include <utility>

#include "base/check.h"
#include "coro/promise.h"

namespace hearth {

template <class T>
class task;

namespace detail {

// Runs the awaiting coroutine next, in the place of the finished one (symmetric transfer): chains
// of any length use constant stack.
struct final_awaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) const noexcept {
        return finished.promise().continuation;
    }
    void await_resume() const noexcept {}
};

class task_promise_base : public promise_base {
public:
    std::coroutine_handle<> continuation;
    promise_base* awaiting = nullptr;

    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
};

template <class T>
class task_promise final : public task_promise_base {
public:
    task<T> get_return_object() noexcept;
    template <std::convertible_to<T> U>
    void return_value(U&& value) {
        value_.emplace(std::forward<U>(value));
    }
    T take() { return std::move(*value_); }

private:
    std::optional<T> value_;
};

template <>
class task_promise<void> final : public task_promise_base {
public:
    task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
    void take() const noexcept {}
};

}  // namespace detail

// A coroutine that starts when it is awaited and is awaited at most once. Move-only; it belongs to
// whoever holds it and must not be destroyed while it is suspended inside an operation. Parameters
// taken by reference must outlive the await, which holds when the call and its await are one
// expression. Runs on the thread that awaits it.
template <class T = void>
class [[nodiscard]] task {
public:
    using promise_type = detail::task_promise<T>;

    task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        std::swap(coroutine_, other.coroutine_);
        return *this;
    }
    task(const task&) = delete;
    task& operator=(const task&) = delete;
    ~task() {
        if (coroutine_) {
            coroutine_.destroy();
        }
    }

    class awaiter {
    public:
        explicit awaiter(std::coroutine_handle<promise_type> coroutine) noexcept
            : coroutine_(coroutine) {}

        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <std::derived_from<promise_base> Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) noexcept {
            auto& promise = coroutine_.promise();
            promise.continuation = caller;
            promise.awaiting = &caller.promise();
            promise.stop = caller.promise().stop;
            caller.promise().awaited = &promise;
            return coroutine_;
        }
        T await_resume() {
            auto& promise = coroutine_.promise();
            promise.awaiting->awaited = nullptr;
            return promise.take();
        }

    private:
        std::coroutine_handle<promise_type> coroutine_;
    };

    awaiter operator co_await() && noexcept {
        HEARTH_CHECK(static_cast<bool>(coroutine_), "awaiting an empty task");
        return awaiter(coroutine_);
    }

private:
    friend promise_type;
    explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

    std::coroutine_handle<promise_type> coroutine_;
};

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

inline task<void> task_promise<void>::get_return_object() noexcept {
    return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

}  // namespace detail
}  // namespace hearth
