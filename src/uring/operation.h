#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/result.h"
#include "uring/ring.h"

namespace hearth::uring {

// A single operation in the kernel, awaited once. It lives in the awaiting coroutine's frame, which
// therefore cannot end before the completion has come: at its deadline, or when stopped, the
// operation is cancelled and its own completion awaited all the same. A result that came in time is
// kept.
class operation : private completion_target, private stop_callback, private timer {
public:
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> caller) {
        return begin(caller, caller.promise().stop);
    }

protected:
    // `restartable`: begun again when a signal interrupts it.
    explicit operation(deadline until, bool restartable = true) noexcept
        : until_(until), restartable_(restartable) {}
    ~operation() = default;

    // The kernel's result, or why the operation was cut off. `what` names it in messages.
    [[nodiscard]] result<int> take_result(std::string_view what) const;

private:
    enum class cut_off : std::uint8_t { none, stopped, timed_out };

    bool begin(std::coroutine_handle<> caller, stop_source* stop);
    void cut(cut_off reason) noexcept;
    void complete(int result, std::uint32_t flags) noexcept final;
    void on_stop() noexcept final { cut(cut_off::stopped); }
    void on_timer() noexcept final { cut(cut_off::timed_out); }

    deadline until_;
    bool restartable_;
    std::coroutine_handle<> caller_;
    int result_ = -ECANCELED;
    cut_off cut_off_ = cut_off::none;
};

// `co_await receive(fd, into, until)`: bytes received, 0 at the end of the stream. MSG_WAITALL in
// `flags` fills the whole span.
class [[nodiscard]] receive final : public operation {
public:
    receive(int fd, std::span<std::byte> into, deadline until, int flags = 0) noexcept
        : operation(until), fd_(fd), into_(into), flags_(flags) {}
    [[nodiscard]] result<std::size_t> await_resume() const;

private:
    void prepare(io_uring_sqe& entry) noexcept override {
        io_uring_prep_recv(&entry, fd_, into_.data(), into_.size(), flags_);
    }
    int fd_;
    std::span<std::byte> into_;
    int flags_;
};

// Sends a gathered message; returns how many bytes the kernel took. SIGPIPE is never raised.
class [[nodiscard]] send_message final : public operation {
public:
    send_message(int fd, std::span<iovec> parts, deadline until) noexcept
        : operation(until), fd_(fd) {
        message_.msg_iov = parts.data();
        message_.msg_iovlen = parts.size();
    }
    [[nodiscard]] result<std::size_t> await_resume() const;

private:
    void prepare(io_uring_sqe& entry) noexcept override {
        io_uring_prep_sendmsg(&entry, fd_, &message_, MSG_NOSIGNAL | MSG_WAITALL);
    }
    int fd_;
    msghdr message_{};
};

// Reads from a file, pipe, signalfd or eventfd at its current position.
class [[nodiscard]] read_some final : public operation {
public:
    read_some(int fd, std::span<std::byte> into, deadline until) noexcept
        : operation(until), fd_(fd), into_(into) {}
    [[nodiscard]] result<std::size_t> await_resume() const;

private:
    void prepare(io_uring_sqe& entry) noexcept override {
        io_uring_prep_read(&entry, fd_, into_.data(), static_cast<unsigned>(into_.size()),
                           static_cast<std::uint64_t>(-1));
    }
    int fd_;
    std::span<std::byte> into_;
};

// Connects a socket. An interrupted connect goes on in the kernel and cannot be begun again.
class [[nodiscard]] connect_socket final : public operation {
public:
    // `address` must stay valid until the result.
    connect_socket(int fd, const sockaddr* address, socklen_t size, deadline until) noexcept
        : operation(until, false), fd_(fd), address_(address), size_(size) {}
    [[nodiscard]] result<> await_resume() const;

private:
    void prepare(io_uring_sqe& entry) noexcept override {
        io_uring_prep_connect(&entry, fd_, address_, size_);
    }
    int fd_;
    const sockaddr* address_;
    socklen_t size_;
};

// Waits until one of `events` (POLLIN, POLLOUT…) holds; returns the events that do. A pidfd is
// readable once its process has ended.
class [[nodiscard]] poll_once final : public operation {
public:
    poll_once(int fd, unsigned events, deadline until) noexcept
        : operation(until), fd_(fd), events_(events) {}
    [[nodiscard]] result<unsigned> await_resume() const;

private:
    void prepare(io_uring_sqe& entry) noexcept override {
        io_uring_prep_poll_add(&entry, fd_, events_);
    }
    int fd_;
    unsigned events_;
};

}  // namespace hearth::uring
