#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/protocol.h"

// Sends and receives one packet with its descriptors on a non-blocking SOCK_SEQPACKET socket. Both
// ends of the control protocol use it. Received descriptors are close-on-exec and owned from the
// first moment, so that a refused packet leaks none.

namespace hearth::sandbox {

struct received_packet {
    std::array<std::byte, packet_size_max> bytes{};
    std::size_t size = 0;
    std::array<unique_fd, packet_descriptors_max> descriptors;
    std::size_t descriptor_count = 0;

    [[nodiscard]] std::span<const std::byte> view() const {
        return std::span<const std::byte>(bytes).first(size);
    }
};

enum class receive_state { packet, empty, closed };

// One packet into `out`; `empty` when none is waiting, `closed` when the peer is gone.
// errc::protocol for a packet that is longer than any or carries more descriptors than any may.
[[nodiscard]] result<receive_state> receive_packet(int socket, received_packet& out);

// errc::limit_exceeded when the socket's buffer is full (try again once it is writable),
// errc::closed when the peer is gone. The descriptors stay the caller's.
[[nodiscard]] result<> send_packet(int socket, std::span<const std::byte> packet,
                                   std::span<const int> descriptors = {});

}  // namespace hearth::sandbox
