#pragma once

#include <cstdint>

#include "sandbox/protocol.h"

namespace hearth::sandbox {

inline constexpr std::uint64_t pending_signals_max = 256;
inline constexpr std::uint64_t stack_bytes_max = 8ULL << 20;

// Resource limits of the child and all it starts, soft and hard alike. They bound what cgroups do
// not (descriptors, queued signals, core files, file size) and back up the pids limit. Address
// space is left free: numpy maps far more than it touches, and the memory cgroup counts what is
// touched. Runs in the child; false with errno set on failure.
[[nodiscard]] bool set_resource_limits(std::uint64_t pids, std::uint64_t file_bytes) noexcept;

}  // namespace hearth::sandbox
