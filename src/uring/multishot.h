#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "coro/gate.h"
#include "coro/task.h"
#include "coro/wait_list.h"
#include "uring/buffer_pool.h"
#include "uring/ring.h"

namespace hearth::uring {

// One submission, many completions. The operation stays armed between results; when the kernel ends
// it (no buffers, an error, our pause) it is armed again at the next demand. finish() must have
// been awaited before destruction: it cancels, awaits the last completion, and lets coroutines that
// are in next() leave it. Ring thread only.
class multishot : private completion_target {
public:
    multishot(const multishot&) = delete;
    multishot& operator=(const multishot&) = delete;

    // Ends the operation; results not taken are dropped. More calls do nothing.
    task<void> finish();

protected:
    explicit multishot(ring& home) noexcept : home_(home) {}
    ~multishot();

    // A successful completion that carries a result.
    virtual void accept_result(int result, std::uint32_t flags) noexcept = 0;

    void arm() noexcept;
    void pause() noexcept;
    [[nodiscard]] bool armed() const noexcept { return armed_; }
    [[nodiscard]] bool finished() const noexcept { return finishing_; }

    ring& home_;
    wait_list changed_;
    gate readers_;        // coroutines inside next()
    int last_error_ = 0;  // errno that ended the operation, not ECANCELED

private:
    void complete(int result, std::uint32_t flags) noexcept final;

    bool armed_ = false;
    bool cancelling_ = false;
    bool finishing_ = false;
    bool was_armed_ = false;
};

// Receives on a stream socket into the ring's buffer pool. When `unread_max` buffers wait unread,
// receiving pauses and the socket's own buffer pushes back on the peer; the kernel's last burst (up
// to 32 buffers at a time) can exceed the number.
class receiver final : public multishot {
public:
    static constexpr std::size_t unread_max = 8;

    // `fd` is not owned and must outlive finish().
    receiver(ring& home, int fd) noexcept : multishot(home), fd_(fd) {}

    // At least one byte; an empty buffer at the end of the stream.
    task<result<io_buffer>> next(deadline until);

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    void accept_result(int result, std::uint32_t flags) noexcept override;

    int fd_;
    std::deque<io_buffer> unread_;
    bool end_of_stream_ = false;
};

// Accepts connections on a listening socket. When `backlog_max` accepted ones wait, accepting
// pauses and more stay in the kernel's own backlog. The kernel accepts in bursts, so that as many
// as came within one turn of the loop can exceed the number.
class acceptor final : public multishot {
public:
    static constexpr std::size_t backlog_max = 64;

    acceptor(ring& home, int fd) noexcept : multishot(home), fd_(fd) {}

    task<result<unique_fd>> next(deadline until);
    // Takes a connection that is already accepted; empty when there is none. For draining.
    [[nodiscard]] unique_fd take_ready() noexcept;

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    void accept_result(int result, std::uint32_t flags) noexcept override;

    int fd_;
    std::deque<unique_fd> ready_;
};

// Reports that a descriptor has become readable. Edge-triggered: after each wake read until EAGAIN.
class readiness final : public multishot {
public:
    readiness(ring& home, int fd) noexcept : multishot(home), fd_(fd) {}

    task<result<>> next(deadline until);

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    void accept_result(int result, std::uint32_t flags) noexcept override;

    int fd_;
    bool ready_ = false;
};

}  // namespace hearth::uring
