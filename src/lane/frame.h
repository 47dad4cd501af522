#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

// Frames of the lane, the stream between a worker and its controller: docs/protocol.md, "Lane", has
// them to the byte. No I/O.

namespace hearth::lane {

inline constexpr std::uint16_t protocol_version = 1;
inline constexpr std::size_t header_bytes = 16;

// One data frame. What is sent in one piece delays what is urgent by its time on the wire.
inline constexpr std::size_t chunk_bytes_max = 64u << 10;
// Of one body, that its receiver takes unasked; the rest waits for a window frame. Most bodies are
// smaller and never wait.
inline constexpr std::size_t body_bytes_free = 256u << 10;
inline constexpr std::uint32_t credits_max = 1'024;      // invocations at once on one lane
inline constexpr std::uint32_t definitions_max = 1'024;  // functions that a lane remembers
inline constexpr std::size_t definition_bytes_max = 64u << 10;
inline constexpr std::size_t token_bytes_max = 1'024;
inline constexpr std::size_t id_bytes_max = 64;
inline constexpr std::size_t text_bytes_max = 1'024;  // of goodbye and refused

enum class frame_type : std::uint8_t {
    hello = 1,
    welcome = 2,
    goodbye = 3,
    report = 4,
    heard = 5,
    credit = 6,
    warm = 7,
    define = 8,
    retire = 9,
    invoke = 10,
    data = 11,
    window = 12,
    started = 13,
    end = 14,
    refused = 15,
    cancel = 16,
};
inline constexpr frame_type frame_type_last = frame_type::cancel;

enum class side : std::uint8_t { controller, worker };

struct frame_header {
    std::uint32_t length = 0;  // of the payload
    frame_type type = frame_type::hello;
    std::uint64_t stream = 0;  // the invocation; 0 for what concerns the lane

    friend bool operator==(const frame_header&, const frame_header&) = default;
};

[[nodiscard]] std::size_t payload_bytes_max(frame_type type) noexcept;

void append(std::string& out, const frame_header& header);

// `bytes` are header_bytes that `sender` sent. errc::protocol names the field that is out of range:
// an unknown type, one that this side never sends, a length beyond the type's limits, a stream
// where there must be none or none where there must be one, reserved bytes that are not 0.
[[nodiscard]] result<frame_header> decode_header(std::string_view bytes, side sender);

}  // namespace hearth::lane
