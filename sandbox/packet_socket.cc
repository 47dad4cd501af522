#include "sandbox/packet_socket.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "base/check.h"

namespace hearth::sandbox {
namespace {

// Room for more descriptors than any packet may carry: what a confused peer sends on top is
// received, seen and closed, rather than silently dropped by the kernel.
constexpr std::size_t descriptors_room = 16;

struct alignas(cmsghdr) control_buffer {
    std::array<char, CMSG_SPACE(sizeof(int) * descriptors_room)> bytes{};
};

// Takes ownership of every descriptor that came along; returns how many there were.
std::size_t collect_descriptors(msghdr& message, received_packet& out) {
    std::size_t count = 0;
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
         each = CMSG_NXTHDR(&message, each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t carried = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < carried; ++i) {
            int raw = -1;
            std::memcpy(&raw, CMSG_DATA(each) + i * sizeof(int), sizeof raw);
            unique_fd owned(raw);
            if (count < out.descriptors.size()) {
                out.descriptors[count] = std::move(owned);
            }
            ++count;
        }
    }
    return count;
}

}  // namespace

result<receive_state> receive_packet(int socket, received_packet& out) {
    out = received_packet{};
    control_buffer control;
    iovec part{.iov_base = out.bytes.data(), .iov_len = out.bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    ssize_t size = -1;
    do {
        size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        if (errno == EAGAIN) {
            return receive_state::empty;
        }
        if (errno == ECONNRESET) {
            return receive_state::closed;
        }
        return fail_errno("recvmsg on the sandbox control socket");
    }
    const std::size_t carried = collect_descriptors(message, out);
    if (size == 0 && carried == 0) {
        return receive_state::closed;
    }
    if ((message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0 || carried > packet_descriptors_max) {
        return fail(errc::protocol, "a packet longer or with more descriptors than any may have");
    }
    out.size = static_cast<std::size_t>(size);
    out.descriptor_count = carried;
    return receive_state::packet;
}

result<> send_packet(int socket, std::span<const std::byte> packet,
                     std::span<const int> descriptors) {
    HEARTH_CHECK(descriptors.size() <= packet_descriptors_max, "too many descriptors in a packet");
    control_buffer control;
    iovec part{.iov_base = const_cast<std::byte*>(packet.data()), .iov_len = packet.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = control.bytes.data();
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }
    ssize_t sent = -1;
    do {
        sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return {};
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
        return fail(errc::limit_exceeded, "the sandbox control socket is full");
    }
    if (errno == EPIPE || errno == ECONNRESET) {
        return fail(errc::closed, "the peer of the sandbox control socket is gone");
    }
    return fail_errno("sendmsg on the sandbox control socket");
}

}  // namespace hearth::sandbox
