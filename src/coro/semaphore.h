#pragma once

#include <cstddef>

#include "coro/task.h"
#include "coro/wait_list.h"

namespace hearth {

// A number of permits; a release goes to the longest waiter, so nobody overtakes. Single-threaded.
class semaphore {
public:
    explicit semaphore(std::size_t permits) noexcept : available_(permits) {}

    [[nodiscard]] bool try_acquire() noexcept {
        if (available_ == 0) {
            return false;
        }
        --available_;
        return true;
    }
    task<result<>> acquire(deadline until = never) {
        if (try_acquire()) {
            co_return result<>{};
        }
        co_return co_await waiters_.wait(until);
    }
    void release() noexcept {
        if (!waiters_.notify_one()) {
            ++available_;
        }
    }
    [[nodiscard]] std::size_t available() const noexcept { return available_; }

private:
    wait_list waiters_;
    std::size_t available_;
};

}  // namespace hearth
