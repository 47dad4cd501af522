#pragma once

#include <cstddef>

#include "coro/task.h"
#include "coro/wait_list.h"

namespace hearth {

// Problem: close() of an object ends the operations of other coroutines, yet those are still inside
// its member functions until the event loop resumes them. Solution: such functions hold a pass, and
// close() waits until every pass is gone. Single-threaded.
class gate {
public:
    class [[nodiscard]] pass {
    public:
        explicit pass(gate& through) noexcept : gate_(through) { ++gate_.inside_; }
        pass(const pass&) = delete;
        pass& operator=(const pass&) = delete;
        ~pass() {
            if (--gate_.inside_ == 0) {
                gate_.left_.notify_all();
            }
        }

    private:
        gate& gate_;
    };

    [[nodiscard]] std::size_t inside() const noexcept { return inside_; }

    // Not stopped by anything. Whoever waits has told those inside to leave.
    task<void> all_left() {
        while (inside_ > 0) {
            co_await left_.wait_unstoppable();
        }
    }

private:
    std::size_t inside_ = 0;
    wait_list left_;
};

}  // namespace hearth
