#include "coro/wait_list.h"

namespace hearth {

bool wait_list::awaiter::start(std::coroutine_handle<> caller, stop_source* stop) {
    if (stop != nullptr && stop->requested()) {
        reason_ = wake_reason::stopped;
        return false;
    }
    executor* home = executor::current();
    HEARTH_CHECK(home != nullptr, "waiting outside an executor's thread");
    caller_ = caller;
    list_.waiters_.push_back(*this);
    if (stop != nullptr) {
        stop->add(*this);
    }
    home->timers().arm(*this, until_);
    return true;
}

void wait_list::awaiter::wake(wake_reason reason) noexcept {
    position::unlink();
    stop_callback::unlink();
    disarm();
    reason_ = reason;
    executor::current()->post(caller_);
}

result<> wait_list::awaiter::await_resume() {
    switch (reason_) {
        case wake_reason::notified:
            return {};
        case wake_reason::timed_out:
            return fail(errc::deadline_exceeded, "deadline passed while waiting");
        case wake_reason::stopped:
        case wake_reason::none:
            break;
    }
    return fail(errc::cancelled, "stopped while waiting");
}

bool wait_list::notify_one() noexcept {
    if (waiters_.empty()) {
        return false;
    }
    waiters_.front().wake(awaiter::wake_reason::notified);
    return true;
}

void wait_list::notify_all() noexcept {
    while (notify_one()) {
    }
}

result<> sleep_until::await_resume() {
    auto outcome = inner_.await_resume();
    if (!outcome && outcome.error().code == errc::deadline_exceeded) {
        return {};
    }
    return outcome;
}

}  // namespace hearth
