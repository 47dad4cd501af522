#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "faas/failure.h"
#include "faas/invocation.h"
#include "lane/bytes.h"
#include "lane/frame.h"

// What the payloads of frames say (docs/protocol.md, "Lane"). Text is a view: of whatever the
// sender holds, or of the payload that was decoded, and valid as long as that is. No I/O.

namespace hearth::lane {

struct hello {
    static constexpr frame_type type = frame_type::hello;
    std::uint16_t version = protocol_version;
    std::string_view token;
    std::string_view worker_id;  // one per start of the program; a well-formed id
};

struct welcome {
    static constexpr frame_type type = frame_type::welcome;
    std::uint16_t version = protocol_version;
    std::uint32_t report_interval_ms = 0;
};

enum class goodbye_reason : std::uint16_t {
    done = 1,  // of its own accord: it drains, or ends
    wrong_token = 2,
    wrong_version = 3,
    protocol_error = 4,
    limit = 5,     // the controller has as many lanes as it takes
    replaced = 6,  // the same worker opened another lane
};
inline constexpr goodbye_reason goodbye_reason_last = goodbye_reason::replaced;

struct goodbye {
    static constexpr frame_type type = frame_type::goodbye;
    goodbye_reason reason = goodbye_reason::done;
    std::string_view text;  // for people: what is wrong and what to do
};

// How many invocations the worker takes at once on this lane, from now on. The number itself, not a
// change of it: nothing can drift, and 0 takes back what is unused.
struct credit {
    static constexpr frame_type type = frame_type::credit;
    std::uint32_t window = 0;
};

// Idle sandboxes of one revision, the number itself.
struct warm {
    static constexpr frame_type type = frame_type::warm;
    std::uint32_t idle = 0;
    std::int64_t revision = 0;
    std::string_view function_id;
};

// What invocations with this slot run. Another definition of the slot replaces the first.
struct define {
    static constexpr frame_type type = frame_type::define;
    std::uint32_t slot = 0;     // below definitions_max
    std::string_view function;  // as faas::encode() writes it
};

struct retire {
    static constexpr frame_type type = frame_type::retire;
    std::int64_t current_revision = 0;
    std::string_view function_id;
};

struct invoke {
    static constexpr frame_type type = frame_type::invoke;
    static constexpr std::uint32_t no_deadline = 0xffff'ffff;
    std::uint32_t slot = 0;
    std::uint32_t event_bytes = 0;        // that follow in data frames
    std::uint32_t wait_ms = no_deadline;  // that the start may take, from the frame's arrival
    std::string_view job_id;
    std::string_view request_id;
};

// The sender of the stream's body may send so many bytes more.
struct window {
    static constexpr frame_type type = frame_type::window;
    std::uint32_t bytes = 0;
};

// The texts of an outcome that follow an end frame as its body, in this order.
inline constexpr std::size_t end_sections = 4;  // message, result, stack trace, log
inline constexpr std::array<std::size_t, end_sections> end_section_bytes_max{
    1u << 20, faas::payload_bytes_max, 1u << 20, 1u << 20};

struct end {
    static constexpr frame_type type = frame_type::end;
    bool succeeded = false;
    bool cold_start = false;
    bool not_started = false;
    faas::failure_kind failure = faas::failure_kind::none;
    std::uint32_t idle = 0;  // sandboxes of this revision, now
    double duration_ms = 0;
    double cpu_ms = 0;
    double init_ms = 0;
    std::int64_t memory_mb_peak = 0;
    std::array<std::uint32_t, end_sections> section_bytes{};
    std::string_view error_type;
};

enum class refusal_reason : std::uint16_t {
    full = 1,       // its queue: errc::limit_exceeded
    draining = 2,   // or unable to run anything: errc::unavailable
    too_late = 3,   // wait_ms passed: errc::deadline_exceeded
    cancelled = 4,  // errc::cancelled
    failed = 5,     // errc::internal
};
inline constexpr refusal_reason refusal_reason_last = refusal_reason::failed;

// No attempt was made.
struct refused {
    static constexpr frame_type type = frame_type::refused;
    refusal_reason reason = refusal_reason::failed;
    std::string_view text;
};

[[nodiscard]] refusal_reason reason_of(errc code) noexcept;
[[nodiscard]] errc code_of(refusal_reason reason) noexcept;

// Of an outcome, without its texts.
[[nodiscard]] end head_of(const faas::outcome& from, std::uint32_t idle);
// The other way round; the texts are empty.
[[nodiscard]] faas::outcome outcome_of(const end& head);

void put_payload(std::string& out, const hello& said);
void put_payload(std::string& out, const welcome& said);
void put_payload(std::string& out, const goodbye& said);
void put_payload(std::string& out, const credit& said);
void put_payload(std::string& out, const warm& said);
void put_payload(std::string& out, const define& said);
void put_payload(std::string& out, const retire& said);
void put_payload(std::string& out, const invoke& said);
void put_payload(std::string& out, const window& said);
void put_payload(std::string& out, const end& said);
void put_payload(std::string& out, const refused& said);

// A whole frame.
template <class Message>
void append(std::string& out, const Message& said, std::uint64_t stream = 0) {
    const std::size_t start = out.size();
    append(out, frame_header{0, Message::type, stream});
    put_payload(out, said);
    put_at(out, start, static_cast<std::uint32_t>(out.size() - start - header_bytes));
}

// errc::protocol names what is out of range. Of a hello with another version only the version is
// looked at: what follows it is that version's affair.
template <class Message>
[[nodiscard]] result<Message> decode(std::string_view payload);
template <>
result<hello> decode(std::string_view payload);
template <>
result<welcome> decode(std::string_view payload);
template <>
result<goodbye> decode(std::string_view payload);
template <>
result<credit> decode(std::string_view payload);
template <>
result<warm> decode(std::string_view payload);
template <>
result<define> decode(std::string_view payload);
template <>
result<retire> decode(std::string_view payload);
template <>
result<invoke> decode(std::string_view payload);
template <>
result<window> decode(std::string_view payload);
template <>
result<end> decode(std::string_view payload);
template <>
result<refused> decode(std::string_view payload);

}  // namespace hearth::lane
