#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "faas/archive/archive.h"

// What the server and hearth-unpack say to each other over one SOCK_SEQPACKET pair
// (docs/protocol.md, "Archives"): one task with its descriptors in, one report of fixed size out.
// After that hearth-unpack has nothing more to say and is ended.

namespace hearth::faas {

inline constexpr int intake_socket = 3;  // of hearth-unpack

enum class intake_work : std::uint32_t { check = 1, unpack = 2 };

struct intake_task {
    intake_work work = intake_work::check;
    unique_fd archive;
    unique_fd directory;  // for unpack
};

// The descriptors stay the caller's. errc::closed when hearth-unpack is gone.
[[nodiscard]] result<> send_task(int socket, intake_work work, int archive, int directory);

// Waits. Nothing when the server is gone; errc::protocol for anything that is no task.
[[nodiscard]] result<std::optional<intake_task>> receive_task(int socket);

inline constexpr std::size_t report_bytes = 512;
using report_packet = std::array<std::byte, report_bytes>;

[[nodiscard]] report_packet encode_report(const result<archive_summary>& end);

// What a report says, be it success or refusal. The archive may have taken over who wrote it, so
// that everything is checked: errc::protocol when it is no report, and the result inside says
// nothing beyond the limits of an archive.
[[nodiscard]] result<result<archive_summary>> decode_report(std::span<const std::byte> packet);

}  // namespace hearth::faas
