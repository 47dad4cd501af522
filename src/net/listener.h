#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <sys/types.h>

#include "base/unique_fd.h"
#include "net/stream.h"
#include "uring/multishot.h"

namespace hearth::net {

inline constexpr int listen_backlog_default = 4096;  // connections that wait to be accepted

// Whose the file of a Unix socket is; who may write to it may connect.
struct socket_file {
    uid_t uid = 0;
    gid_t gid = 0;
    mode_t mode = 0660;
};

// A listening socket, made before its ring so that errors ("address in use") come at start-up.
// Several rings share a TCP port by opening it once each: SO_REUSEPORT spreads connections over
// them. The file of a Unix socket that nobody listens on any more is replaced; one that somebody
// listens on, or that is no socket, is an error with EADDRINUSE that says so. With `file` its owner
// and mode are these from before the first connection on, otherwise the process's; start-up alone,
// as the process's umask changes for a moment.
[[nodiscard]] result<unique_fd> open_listening_socket(const std::string& address,
                                                      int backlog = listen_backlog_default,
                                                      const socket_file* file = nullptr);

// Accepts streams from a listening socket. Ring thread only; close() before destruction.
class listener {
public:
    explicit listener(unique_fd listening);

    // The next connection. errc::closed after close(). Errors such as running out of descriptors
    // are returned; the listener stays usable.
    task<result<std::unique_ptr<stream>>> accept(deadline until);
    // A connection that was accepted before the last accept() ended, and after stop_queueing() one
    // of the kernel's backlog; null when there is none.
    [[nodiscard]] std::unique_ptr<stream> take_ready();
    // No handshake begins any more (TCP: the kernel drops requests for new connections, as if they
    // were lost on the way), and accept() ends with errc::closed: take_ready() hands out what is
    // left and what comes of handshakes under way, so that close() refuses nobody who was let in.
    task<void> stop_queueing();
    // Stops accepting. Connections in the kernel's backlog are refused.
    task<void> close();

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

private:
    unique_fd fd_;
    uring::acceptor acceptor_;
    std::uint16_t port_;
    bool draining_ = false;
};

}  // namespace hearth::net
