#pragma once

#include <array>
#include <cstdint>

#include <linux/mount.h>

// What /dev holds inside: five device nodes that carry no state, bound from the host, and the links
// that programs expect. No terminal, no pseudo-terminal multiplexer, no console, no kernel log.

namespace hearth::sandbox {

inline constexpr std::array device_paths{"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                         "/dev/urandom"};
inline constexpr std::uint64_t device_attributes =
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

struct device_link {
    const char* path;
    const char* target;
};
inline constexpr std::array device_links{
    device_link{"dev/fd", "/proc/self/fd"},
    device_link{"dev/stdin", "/proc/self/fd/0"},
    device_link{"dev/stdout", "/proc/self/fd/1"},
    device_link{"dev/stderr", "/proc/self/fd/2"},
};

}  // namespace hearth::sandbox
