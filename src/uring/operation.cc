#include "uring/operation.h"

#include <cerrno>

namespace hearth::uring {

bool operation::begin(std::coroutine_handle<> caller, stop_source* stop) {
    if (stop != nullptr && stop->requested()) {
        cut_off_ = cut_off::stopped;
        return false;
    }
    caller_ = caller;
    ring& home = ring::current();
    if (stop != nullptr) {
        stop->add(*this);
    }
    home.timers().arm(*this, until_);
    home.start(*this);
    return true;
}

void operation::cut(cut_off reason) noexcept {
    stop_callback::unlink();
    disarm();
    cut_off_ = reason;
    ring::current().cancel(*this);
}

void operation::complete(int result, std::uint32_t) noexcept {
    if (result == -EINTR && cut_off_ == cut_off::none && restartable_) {
        ring::current().start(*this);  // a signal came first: nothing was done
        return;
    }
    stop_callback::unlink();
    disarm();
    result_ = result;
    ring::current().post(caller_);
}

result<int> operation::take_result(std::string_view what) const {
    if (result_ >= 0) {
        return result_;
    }
    if (result_ == -ECANCELED || result_ == -EINTR) {
        if (cut_off_ == cut_off::timed_out) {
            return fail(errc::deadline_exceeded, std::string(what) + ": deadline passed");
        }
        if (cut_off_ == cut_off::stopped) {
            return fail(errc::cancelled, std::string(what) + ": stopped");
        }
    }
    return fail_errno(what, -result_);
}

namespace {

result<std::size_t> as_size(result<int> taken) {
    if (!taken) {
        return propagate(taken);
    }
    return static_cast<std::size_t>(*taken);
}

}  // namespace

result<std::size_t> receive::await_resume() const {
    return as_size(take_result("receive"));
}

result<std::size_t> send_message::await_resume() const {
    return as_size(take_result("send"));
}

result<std::size_t> read_some::await_resume() const {
    return as_size(take_result("read"));
}

result<> connect_socket::await_resume() const {
    auto taken = take_result("connect");
    if (!taken) {
        return propagate(taken);
    }
    return {};
}

result<unsigned> poll_once::await_resume() const {
    auto taken = take_result("poll");
    if (!taken) {
        return propagate(taken);
    }
    return static_cast<unsigned>(*taken);
}

}  // namespace hearth::uring
