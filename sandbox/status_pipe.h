#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <optional>
#include <span>
#include <string_view>

#include <unistd.h>

// What a sandbox under construction, and later its init, tells sandboxd: fixed records on a pipe,
// each written at once and shorter than PIPE_BUF, so that records never mix.

namespace hearth::sandbox {

enum class status_kind : std::uint32_t {
    failed = 1,  // a step of contain() failed: value is its errno, stage its name
    sealed = 2,  // every layer is in place and Python runs
    ended = 3,   // Python ended: value is its wait status
    shell = 4,   // everything but Python is in place: the zygote may fork
};

// When a process came how far, in nanoseconds of the monotonic clock: what makes a sandbox, up to
// `shell` or `sealed`, was born (its ids mapped), had its mounts, was sealed; what joins one, up to
// `sealed`, was forked, had joined, was sealed. For the figures of bench/sandbox.
using milestones = std::array<std::int64_t, 3>;

inline std::int64_t milestone_now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    constexpr std::int64_t per_second = 1'000'000'000;
    return now.tv_sec * per_second + now.tv_nsec;
}

struct status_record {
    status_kind kind{};
    std::int32_t value = 0;
    std::array<char, 40> stage{};
    milestones reached{};  // of `shell` and `sealed`
};
static_assert(sizeof(status_record) == 72);

// One record as it was read, checked: nothing when it is none, which no process of ours writes.
[[nodiscard]] inline std::optional<status_record> decode_status(
    std::span<const std::byte> bytes) noexcept {
    status_record record;
    if (bytes.size() != sizeof record) {
        return std::nullopt;
    }
    std::memcpy(&record, bytes.data(), sizeof record);
    const auto kind = static_cast<std::uint32_t>(record.kind);
    if (kind < static_cast<std::uint32_t>(status_kind::failed) ||
        kind > static_cast<std::uint32_t>(status_kind::shell) || record.stage.back() != '\0') {
        return std::nullopt;
    }
    return record;
}

// Safe after clone. A full or closed pipe has no remedy here: sandboxd then sees the process end.
inline void write_status(int fd, status_kind kind, int value, std::string_view stage = {},
                         const milestones& reached = {}) noexcept {
    status_record record{.kind = kind, .value = value, .reached = reached};
    stage.substr(0, record.stage.size() - 1).copy(record.stage.data(), record.stage.size() - 1);
    [[maybe_unused]] const ssize_t written = ::write(fd, &record, sizeof record);
}

}  // namespace hearth::sandbox
