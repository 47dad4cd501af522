#pragma once

#include <initializer_list>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "coro/task.h"

namespace hearth::uring {

// Signals as values. They are blocked in the whole process, so this is made by main before any
// thread exists; threads inherit the mask.
class signal_watch {
public:
    [[nodiscard]] static result<signal_watch> create(std::initializer_list<int> signals);

    // The next signal's number.
    task<result<int>> next(deadline until);

private:
    explicit signal_watch(unique_fd fd) noexcept : fd_(std::move(fd)) {}
    unique_fd fd_;
};

}  // namespace hearth::uring
