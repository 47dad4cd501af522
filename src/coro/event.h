#pragma once

#include "coro/task.h"
#include "coro/wait_list.h"

namespace hearth {

// A flag that coroutines wait for. Set once it stays set until reset. Single-threaded.
class event {
public:
    void set() noexcept {
        set_ = true;
        waiters_.notify_all();
    }
    void reset() noexcept { set_ = false; }
    [[nodiscard]] bool is_set() const noexcept { return set_; }

    // errc::deadline_exceeded or errc::cancelled when it is not set in time.
    task<result<>> wait(deadline until = never) {
        if (set_) {
            co_return result<>{};
        }
        co_return co_await waiters_.wait(until);
    }

private:
    wait_list waiters_;
    bool set_ = false;
};

}  // namespace hearth
