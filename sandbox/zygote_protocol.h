#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/result.h"
#include "sandbox/packet_socket.h"

// Between hearth-sandboxd and the hearth-zygote that it started: one SOCK_SEQPACKET pair, both ends
// of one build. The zygote says ready (or failed) once; then sandboxd sends fork requests, which
// have no answer here: what becomes of each is told on the sandbox's own status pipe.

namespace hearth::sandbox {

// Descriptors, in this order: init's pidfd, the sandbox's end of the control stream, the write ends
// of the output, status and adoption pipes, the v2 cgroup's directory where there is one
// (`placed`), and then the task lists of v1 cgroups, together at most cgroup_hierarchies_max.
struct fork_request {
    std::uint64_t file_bytes_max = 0;
    std::uint32_t pids = 0;
    std::uint16_t landlock = 0;  // ABI
    std::uint8_t placed = 0;     // 1: there is a v2 cgroup to be born into
    std::uint8_t parked = 0;     // 1: nobody waits for it yet
};
static_assert(sizeof(fork_request) == 16);

enum class fork_descriptor : std::size_t {
    init,
    control_stream,
    output,
    status,
    adoption,
    cgroups
};
inline constexpr std::size_t fork_descriptors_min =
    static_cast<std::size_t>(fork_descriptor::cgroups);
inline constexpr std::size_t cgroup_hierarchies_max = 4;
static_assert(fork_descriptors_min + cgroup_hierarchies_max <= packet_descriptors_max);

// A received request, checked with the number of descriptors that came along. errc::protocol.
[[nodiscard]] inline result<fork_request> decode_fork_request(std::span<const std::byte> packet,
                                                              std::size_t descriptors) {
    fork_request request;
    if (packet.size() != sizeof request || descriptors < fork_descriptors_min) {
        return fail(errc::protocol, "not a fork request");
    }
    std::memcpy(&request, packet.data(), sizeof request);
    const std::size_t least = fork_descriptors_min + request.placed;
    if (request.placed > 1 || request.parked > 1 || descriptors < least ||
        descriptors > fork_descriptors_min + cgroup_hierarchies_max) {
        return fail(errc::protocol, "a fork request out of range");
    }
    return request;
}

struct zygote_greeting {
    std::uint32_t ready = 0;  // 1; 0: it cannot work, and ends
};
static_assert(sizeof(zygote_greeting) == 4);

}  // namespace hearth::sandbox
