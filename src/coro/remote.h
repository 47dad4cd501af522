#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "coro/executor.h"
#include "coro/scope.h"
#include "coro/task.h"

namespace hearth {

namespace detail {

// One call across threads: posted to the target, runs there as a task of `tasks`, posted back.
template <class Function, class T>
class remote_call final : public remote_work {
public:
    remote_call(executor& target, scope& tasks, Function& function)
        : target_(target), tasks_(tasks), function_(function) {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) noexcept {
        caller_ = caller;
        origin_ = executor::current();
        target_.post_remote(*this);
    }
    T await_resume() { return std::move(*value_); }

private:
    void run() noexcept override {
        if (executor::current() == origin_) {
            origin_->post(caller_);
            return;
        }
        if (!tasks_.spawn(call())) {
            check_failed("spawn", __FILE__, __LINE__, "the scope of remote calls has a limit");
        }
    }
    task<void> call() {
        value_.emplace(co_await function_());
        origin_->post_remote(*this);
    }

    executor& target_;
    scope& tasks_;
    Function& function_;
    executor* origin_ = nullptr;
    std::coroutine_handle<> caller_;
    std::optional<T> value_;
};

}  // namespace detail

// Runs `function()`, which returns a task<T>, on `target`'s thread in its scope `tasks`, and
// returns its result to the caller's thread. What the function refers to stays untouched by the
// caller meanwhile. A stop of the caller does not cross: the function has its own deadline. On the
// target's own thread it is a plain await.
template <class Function>
auto run_on(executor& target, scope& tasks, Function function) -> std::invoke_result_t<Function> {
    if (executor::current() == &target) {
        co_return co_await function();
    }
    using value_type = decltype(function().operator co_await().await_resume());
    co_return co_await detail::remote_call<Function, value_type>(target, tasks, function);
}

}  // namespace hearth
