#pragma once

#include <cstdint>

#include "base/clock.h"
#include "faas/function.h"
#include "sandbox/protocol.h"

// When a sandbox that works is ended all the same, so that what a function leaks ends with it.
// Pure.

namespace hearth::worker {

// Settings. Age and calls catch what grows slowly, in whatever the checks below do not count; at
// these values the starts that they cost do not show.
struct recycling_limits {
    std::uint64_t calls = 100'000;
    seconds age{3'600};
};

// What a sandbox holds between two calls; 0 for what the host does not show.
struct holdings {
    std::uint64_t memory_bytes = 0;  // anonymous and in files of /tmp and /dev/shm
    std::uint64_t open_files = 0;
    std::uint64_t tasks = 0;  // threads of all processes
};

// Looking at all holdings costs some 20 microseconds, so it is done once in so many calls.
inline constexpr std::uint64_t calls_per_look = 100;

[[nodiscard]] constexpr bool is_due_for_a_look(std::uint64_t calls) noexcept {
    return calls == 1 || calls % calls_per_look == 0;
}

// What each may at most be, by the limits that the kernel holds.
[[nodiscard]] constexpr holdings most_of(std::int64_t memory_mb) noexcept {
    return {.memory_bytes = static_cast<std::uint64_t>(memory_mb) << 20,
            .open_files = sandbox::open_files_max,
            .tasks = sandbox::pids_default + 1};
}

// Three quarters of the way from where it stood after the first call to the limit: the next calls
// would meet the limit and fail.
[[nodiscard]] constexpr bool has_grown_too_far(std::uint64_t first, std::uint64_t now,
                                               std::uint64_t limit) noexcept {
    return now > first && first < limit && (now - first) * 4 > (limit - first) * 3;
}

[[nodiscard]] constexpr bool have_grown_too_far(const holdings& first, const holdings& now,
                                                const holdings& limit) noexcept {
    return has_grown_too_far(first.memory_bytes, now.memory_bytes, limit.memory_bytes) ||
           has_grown_too_far(first.open_files, now.open_files, limit.open_files) ||
           has_grown_too_far(first.tasks, now.tasks, limit.tasks);
}

// Of a vCPU, in thousandths. Never less than `floor`, a setting: Python runs one thread at a time,
// and a whole processor is what its calls and imports take when nobody else wants it. When others
// do, the weight in proportion to memory decides (sandbox/cgroup.cc).
[[nodiscard]] constexpr std::uint32_t cpu_millis_of(std::int64_t memory_mb,
                                                    std::uint32_t floor) noexcept {
    constexpr std::int64_t millis_per_cpu = 1'000;
    const auto share =
        static_cast<std::uint32_t>(memory_mb * millis_per_cpu / sandbox::memory_mb_per_cpu);
    return share > floor ? share : floor;
}

}  // namespace hearth::worker
