#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <sys/uio.h>

#include "base/unique_fd.h"
#include "coro/task.h"
#include "sandbox/frame.h"

namespace hearth::worker {

// The worker's end of the stream to one sandbox's Python: frames out, one answer to each in. The
// peer is hostile; what does not fit is errc::protocol, its end errc::closed. Ring thread only.
class control_stream {
public:
    struct answer {
        sandbox::frame_type type{};
        std::string payload;
    };

    control_stream() = default;
    explicit control_stream(unique_fd socket) : socket_(std::move(socket)) {}

    // Both parts, one after the other.
    task<result<>> send(std::string_view head, std::string_view body, deadline until);
    // The answer with this nonce, and nothing behind it.
    task<result<answer>> receive(std::uint64_t nonce, deadline until);
    // Open, and nothing has come that nobody asked for. One system call.
    [[nodiscard]] bool is_silent() const noexcept;
    void close() { socket_.reset(); }

private:
    [[nodiscard]] result<std::size_t> send_at_once(std::span<iovec> parts) const;

    unique_fd socket_;
};

}  // namespace hearth::worker
