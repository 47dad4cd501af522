#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

// Frames on the control stream between a worker and the Python process of one sandbox (descriptor 3
// inside). The process inside is hostile: a header is refused unless every field is in range, and
// the worker accepts an answer only if its nonce is the one of the running invocation.
//
//   offset  size  field
//        0     4  payload_length, little-endian
//        4     1  type
//        5     1  flags, zero
//        6     2  reserved, zero
//        8     8  nonce, little-endian; an answer carries that of the frame it answers
//       16     …  payload
//
// The worker sends init once and gets ready or init_error. After ready it sends invoke, one at a
// time, and gets result or error for each. After init_error the process exits.
//
// Pure functions; the worker does its own I/O. Any thread.

namespace hearth::sandbox {

enum class frame_type : std::uint8_t {
    init = 1,        // JSON: see init_parameters
    invoke = 2,      // u64 deadline, u16 length of the request id, request id, event as JSON
    ready = 3,       // JSON {"initMs": number, "handler": "module.function"}
    init_error = 4,  // JSON {"errorMessage", "errorType", "requestId", "stackTrace": [...]}
    result = 5,      // the handler's result as JSON
    error = 6,       // as init_error
};

inline constexpr std::size_t frame_header_size = 16;
inline constexpr std::size_t event_bytes_max = 6ULL << 20;   // the sync payload that users may send
inline constexpr std::size_t result_bytes_max = 6ULL << 20;  // the result that users may return
inline constexpr std::size_t request_id_bytes_max = 64;
inline constexpr std::size_t invoke_prefix_size = 10;  // deadline and length of the request id
inline constexpr std::size_t init_bytes_max = 64ULL << 10;
inline constexpr std::size_t ready_bytes_max = 4ULL << 10;
inline constexpr std::size_t error_bytes_max = 64ULL << 10;
inline constexpr std::size_t environment_bytes_max = 4ULL << 10;  // names and values together
inline constexpr std::size_t handlers_max = 8;

// The longest payload of a type; 0 for a type that does not exist.
[[nodiscard]] std::size_t payload_bytes_max(frame_type type) noexcept;

struct frame_header {
    std::uint32_t payload_length = 0;
    frame_type type{};
    std::uint64_t nonce = 0;
};
using frame_header_bytes = std::array<std::byte, frame_header_size>;

[[nodiscard]] frame_header_bytes encode_frame_header(const frame_header& header) noexcept;

// What a worker accepts from a sandbox (ready, init_error, result, error) and what a sandbox
// accepts from a worker (init, invoke). errc::protocol for anything else, errc::too_large for a
// length above the type's limit. `bytes` must hold frame_header_size bytes; more are ignored.
[[nodiscard]] result<frame_header> decode_answer_header(std::span<const std::byte> bytes);
[[nodiscard]] result<frame_header> decode_command_header(std::span<const std::byte> bytes);

// The contents of an init frame. Keys of the JSON: handlers, functionName, functionVersion,
// functionArn, memoryMb, logGroupName, logStreamName, env.
struct init_parameters {
    std::vector<std::string> handlers;  // "module.function", tried in this order; 1 to handlers_max
    std::string function_name;
    std::string function_version;
    std::string function_arn;
    std::string log_group_name;
    std::string log_stream_name;
    std::uint32_t memory_mb = 128;
    std::vector<std::pair<std::string, std::string>> environment;
};

// A whole init frame, header included. errc::too_large above a limit.
[[nodiscard]] result<std::string> encode_init_frame(std::uint64_t nonce,
                                                    const init_parameters& parameters);

// An invoke frame up to where the event's text begins: send it and the event in one vectored write.
[[nodiscard]] result<std::string> encode_invoke_head(std::uint64_t nonce, epoch_ms deadline,
                                                     std::string_view request_id,
                                                     std::size_t event_bytes);

// The parts of an invoke frame's payload; views into it.
struct invoke_payload {
    epoch_ms deadline = 0;
    std::string_view request_id;
    std::string_view event;
};
[[nodiscard]] result<invoke_payload> decode_invoke_payload(std::string_view payload);

}  // namespace hearth::sandbox
