#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

struct status_record {
    status_kind kind{};
    std::int32_t value = 0;
    std::array<char, 40> stage{};
};
static_assert(sizeof(status_record) == 48);

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
inline void write_status(int fd, status_kind kind, int value,
                         std::string_view stage = {}) noexcept {
    status_record record{.kind = kind, .value = value};
    stage.substr(0, record.stage.size() - 1).copy(record.stage.data(), record.stage.size() - 1);
    [[maybe_unused]] const ssize_t written = ::write(fd, &record, sizeof record);
}

}  // namespace hearth::sandbox
