#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include <sys/uio.h>

#include "base/unique_fd.h"
#include "coro/gate.h"
#include "net/stream.h"
#include "uring/multishot.h"

namespace hearth::net {

// Drops the first `count` bytes of what is yet to be sent; true while some are left.
bool drop_front(std::span<iovec>& parts, std::size_t count);

// A connected stream socket, TCP or Unix: multishot receive into the ring's buffers, gathered
// sends.
class socket_stream final : public stream {
public:
    // `fd` is connected and blocking (io_uring waits by itself). On the ring's thread.
    socket_stream(unique_fd fd, std::string peer);

    task<result<io_buffer>> read(deadline until) override;
    task<result<>> write(write_parts parts, deadline until) override;
    task<result<>> shutdown_write(deadline until) override;
    task<void> close() override;
    [[nodiscard]] const std::string& peer() const noexcept override { return peer_; }
    [[nodiscard]] std::string origin() const override;
    [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }

private:
    unique_fd fd_;
    uring::receiver receiver_;
    gate writers_;  // coroutines inside write()
    bool closing_ = false;
    std::string peer_;
};

// Connects to a TCP address "host:port" with a numeric host ("127.0.0.1:80", "[::1]:80") or, for a
// path with a leading '/', to a Unix socket.
task<result<std::unique_ptr<stream>>> connect_stream(std::string address, deadline until);

}  // namespace hearth::net
