#include "coro/executor.h"

#include <utility>

namespace hearth {
namespace {

thread_local executor* current_executor = nullptr;

}  // namespace

executor::executor() noexcept = default;
executor::~executor() = default;

executor* executor::current() noexcept {
    return current_executor;
}

void executor::set_current(executor* which) noexcept {
    current_executor = which;
}

void executor::post_remote(remote_work& work) noexcept {
    work.next_ = nullptr;
    bool was_empty = false;
    {
        const std::scoped_lock lock(remote_mutex_);
        was_empty = remote_first_ == nullptr;
        (was_empty ? remote_first_ : remote_last_->next_) = &work;
        remote_last_ = &work;
        if (was_empty) {
            // Under the lock: the executor cannot be gone before the last post has woken it.
            wake();
        }
    }
}

void executor::run_remote() {
    remote_work* work = nullptr;
    {
        const std::scoped_lock lock(remote_mutex_);
        work = std::exchange(remote_first_, nullptr);
        remote_last_ = nullptr;
    }
    while (work != nullptr) {
        remote_work* next = work->next_;  // run() may end the life of `work`
        work->run();
        work = next;
    }
}

bool executor::run_ready(std::size_t limit) {
    for (std::size_t count = 0; count < limit && has_ready(); ++count) {
        const std::coroutine_handle<> coroutine = ready_[next_ready_++];
        ++resumed_count_;
        coroutine.resume();
    }
    if (!has_ready()) {
        ready_.clear();
        next_ready_ = 0;
    } else if (next_ready_ > ready_.size() / 2) {
        ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(next_ready_));
        next_ready_ = 0;
    }
    return has_ready();
}

}  // namespace hearth
