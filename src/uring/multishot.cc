#include "uring/multishot.h"

#include <cerrno>

#include <poll.h>

#include "base/check.h"

namespace hearth::uring {

multishot::~multishot() {
    HEARTH_CHECK(!armed_, "multishot operation destroyed before finish()");
}

void multishot::arm() noexcept {
    if (!armed_ && !finishing_) {
        home_.statistics().rearms += was_armed_ ? 1 : 0;
        armed_ = was_armed_ = true;
        cancelling_ = false;
        last_error_ = 0;
        home_.start(*this);
    }
}

void multishot::pause() noexcept {
    if (armed_ && !cancelling_) {
        cancelling_ = true;
        home_.cancel(*this);
    }
}

void multishot::complete(int result, std::uint32_t flags) noexcept {
    if ((flags & IORING_CQE_F_MORE) == 0) {
        armed_ = false;
    }
    if (result >= 0) {
        accept_result(result, flags);
    } else if (result == -ENOBUFS) {
        ++home_.statistics().no_buffers;
    } else if (result != -ECANCELED && result != -EINTR) {
        last_error_ = -result;
    }
    changed_.notify_all();
}

task<void> multishot::finish() {
    finishing_ = true;
    pause();
    changed_.notify_all();
    while (armed_) {
        co_await changed_.wait_unstoppable();
    }
    co_await readers_.all_left();
}

void receiver::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_recv_multishot(&entry, fd_, nullptr, 0, 0);
    entry.flags |= IOSQE_BUFFER_SELECT;
    entry.buf_group = buffer_pool::group;
}

void receiver::accept_result(int result, std::uint32_t flags) noexcept {
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        bool copied = false;
        unread_.push_back(home_.buffers().take(flags, static_cast<std::size_t>(result), &copied));
        home_.statistics().buffer_copies += copied ? 1 : 0;
    }
    end_of_stream_ = end_of_stream_ || result == 0;
    if (unread_.size() >= unread_max) {
        pause();
    }
}

task<result<io_buffer>> receiver::next(deadline until) {
    const gate::pass inside(readers_);
    for (;;) {
        while (!unread_.empty()) {
            io_buffer first = std::move(unread_.front());
            unread_.pop_front();
            if (!first.empty()) {
                co_return first;
            }
        }
        if (end_of_stream_) {
            co_return io_buffer();
        }
        if (last_error_ != 0) {
            co_return fail_errno("receive", last_error_);
        }
        if (finished()) {
            co_return fail(errc::closed, "receive: the stream was closed");
        }
        arm();
        auto woken = co_await changed_.wait(until);
        if (!woken) {
            co_return propagate(woken);
        }
    }
}

void acceptor::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_multishot_accept(&entry, fd_, nullptr, nullptr, SOCK_CLOEXEC);
}

void acceptor::accept_result(int result, std::uint32_t) noexcept {
    ready_.emplace_back(result);
    if (ready_.size() >= backlog_max) {
        pause();
    }
}

unique_fd acceptor::take_ready() noexcept {
    unique_fd first;
    if (!ready_.empty()) {
        first = std::move(ready_.front());
        ready_.pop_front();
    }
    return first;
}

task<result<unique_fd>> acceptor::next(deadline until) {
    const gate::pass inside(readers_);
    for (;;) {
        if (unique_fd first = take_ready()) {
            co_return first;
        }
        if (last_error_ != 0) {
            co_return fail_errno("accept", std::exchange(last_error_, 0));
        }
        if (finished()) {
            co_return fail(errc::closed, "accept: the listener was closed");
        }
        arm();
        auto woken = co_await changed_.wait(until);
        if (!woken) {
            co_return propagate(woken);
        }
    }
}

void readiness::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_poll_multishot(&entry, fd_, POLLIN);
}

void readiness::accept_result(int, std::uint32_t) noexcept {
    ready_ = true;
}

task<result<>> readiness::next(deadline until) {
    const gate::pass inside(readers_);
    for (;;) {
        if (std::exchange(ready_, false)) {
            co_return result<>{};
        }
        if (last_error_ != 0) {
            co_return fail_errno("poll", last_error_);
        }
        if (finished()) {
            co_return fail(errc::closed, "poll: the watch was ended");
        }
        arm();
        auto woken = co_await changed_.wait(until);
        if (!woken) {
            co_return propagate(woken);
        }
    }
}

}  // namespace hearth::uring
