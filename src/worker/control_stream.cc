#include "worker/control_stream.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "net/socket_stream.h"
#include "uring/operation.h"

namespace hearth::worker {
namespace {

constexpr std::size_t first_read_bytes = 4096;  // most answers fit, so that one receive is enough

}  // namespace

task<result<>> control_stream::send(std::string_view head, std::string_view body, deadline until) {
    std::array<iovec, 2> parts{{{const_cast<char*>(head.data()), head.size()},
                                {const_cast<char*>(body.data()), body.size()}}};
    std::span<iovec> unsent(parts);
    auto taken = send_at_once(unsent);
    while (taken && net::drop_front(unsent, *taken)) {
        taken = co_await uring::send_message(socket_.get(), unsent, until);
    }
    if (!taken) {
        co_return propagate(taken);
    }
    co_return result<>{};
}

// By a system call of its own: the sandbox begins now, and not when all else has run that is ready
// in this turn of the loop, and the ring has no completion to hand back. What it does not take at
// once, the ring sends.
result<std::size_t> control_stream::send_at_once(std::span<iovec> parts) const {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
        return static_cast<std::size_t>(sent);
    }
    if (errno == EAGAIN || errno == EINTR) {
        return 0;
    }
    return fail_errno("send");
}

task<result<control_stream::answer>> control_stream::receive(std::uint64_t nonce, deadline until) {
    std::array<std::byte, first_read_bytes> first;
    std::size_t filled = 0;
    while (filled < sandbox::frame_header_size) {
        auto count =
            co_await uring::receive(socket_.get(), std::span(first).subspan(filled), until);
        if (!count) {
            co_return propagate(count);
        }
        if (*count == 0) {
            co_return fail(errc::closed, "the process ended");
        }
        filled += *count;
    }
    auto header = sandbox::decode_answer_header(first);
    if (!header) {
        co_return fail(errc::protocol, std::move(header.error().message));
    }
    const std::size_t early = filled - sandbox::frame_header_size;
    if (header->nonce != nonce || early > header->payload_length) {
        co_return fail(errc::protocol, "an answer to nothing that was asked");
    }
    answer received{header->type, std::string()};
    // The lambda's own second parameter is no use: libstdc++ 12 passes the capacity that it rounded
    // the size up to.
    const std::size_t length = header->payload_length;
    received.payload.resize_and_overwrite(length, [&](char* data, std::size_t) {
        std::memcpy(data, first.data() + sandbox::frame_header_size, early);
        return length;
    });
    for (std::size_t have = early; have < received.payload.size();) {
        auto rest = std::as_writable_bytes(std::span(received.payload)).subspan(have);
        auto count = co_await uring::receive(socket_.get(), rest, until, MSG_WAITALL);
        if (!count) {
            co_return propagate(count);
        }
        if (*count == 0) {
            co_return fail(errc::closed, "the process ended");
        }
        have += *count;
    }
    co_return received;
}

bool control_stream::is_silent() const noexcept {
    char unasked = 0;
    return ::recv(socket_.get(), &unasked, sizeof unasked, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           errno == EAGAIN;
}

}  // namespace hearth::worker
