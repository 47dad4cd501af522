#pragma once

#include <coroutine>

#include "coro/executor.h"

namespace hearth {

// `co_await yield()`: lets everything else that is ready, and the kernel's completions, go first.
// For loops that could otherwise keep the event loop to themselves.
class yield {
public:
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) { executor::current()->post(caller); }
    void await_resume() const noexcept {}
};

}  // namespace hearth
