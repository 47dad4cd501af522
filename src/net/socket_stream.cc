#include "net/socket_stream.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/address.h"
#include "uring/operation.h"

namespace hearth::net {
namespace {

constexpr std::size_t parts_inline = 8;           // more need a heap array
constexpr std::size_t parts_per_send_max = 1024;  // UIO_MAXIOV of the kernel

}  // namespace

bool drop_front(std::span<iovec>& parts, std::size_t count) {
    while (!parts.empty() && count >= parts.front().iov_len) {
        count -= parts.front().iov_len;
        parts = parts.subspan(1);
    }
    if (!parts.empty()) {
        parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + count;
        parts.front().iov_len -= count;
    }
    return !parts.empty();
}

socket_stream::socket_stream(unique_fd fd, std::string peer)
    : fd_(std::move(fd)), receiver_(uring::ring::current(), fd_.get()), peer_(std::move(peer)) {
    // Small answers must not wait for the peer's delayed acknowledgement. Not TCP: no effect.
    const int on = 1;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

std::string socket_stream::origin() const {
    return origin_of(fd_.get());
}

task<result<io_buffer>> socket_stream::read(deadline until) {
    return receiver_.next(until);
}

task<result<>> socket_stream::write(write_parts parts, deadline until) {
    if (!fd_ || closing_) {
        co_return fail(errc::closed, "send: the stream was closed");
    }
    const gate::pass inside(writers_);
    std::array<iovec, parts_inline> few;
    std::vector<iovec> many;
    if (parts.size() > few.size()) {
        many.resize(parts.size());
    }
    std::span<iovec> left = many.empty() ? std::span(few).first(parts.size()) : std::span(many);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        left[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
    }
    drop_front(left, 0);
    while (!left.empty()) {
        auto sent = co_await uring::send_message(
            fd_.get(), left.first(std::min(left.size(), parts_per_send_max)), until);
        if (!sent) {
            co_return propagate(sent);
        }
        drop_front(left, *sent);
    }
    co_return result<>{};
}

task<result<>> socket_stream::shutdown_write(deadline) {
    if (::shutdown(fd_.get(), SHUT_WR) != 0) {
        co_return fail_errno("shutdown");
    }
    co_return result<>{};
}

task<void> socket_stream::close() {
    if (!fd_ || std::exchange(closing_, true)) {
        co_return;
    }
    if (writers_.inside() > 0) {
        ::shutdown(fd_.get(), SHUT_RDWR);  // ends their sends with EPIPE
    }
    co_await receiver_.finish();
    co_await writers_.all_left();
    fd_.reset();
}

task<result<std::unique_ptr<stream>>> connect_stream(std::string address_text, deadline until) {
    auto target = parse_address(address_text);
    if (!target) {
        co_return propagate(target);
    }
    unique_fd fd(::socket(target->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) {
        co_return fail_errno("socket");
    }
    auto connected = co_await uring::connect_socket(fd.get(), target->data(), target->size, until);
    if (!connected) {
        co_return propagate(connected);
    }
    co_return std::make_unique<socket_stream>(std::move(fd), std::move(address_text));
}

}  // namespace hearth::net
