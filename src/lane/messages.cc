#include "lane/messages.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/concat.h"
#include "base/ids.h"
#include "lane/bytes.h"

namespace hearth::lane {
namespace {

constexpr std::string_view magic = "HLAN";

constexpr std::uint8_t cold_start_bit = 1;
constexpr std::uint8_t not_started_bit = 2;

std::unexpected<error> malformed(std::string_view what) {
    return fail(errc::protocol, concat("a malformed frame: ", what));
}

// Text that people read must not end the frame's limit; it is cut, whole characters only.
std::string_view short_text(std::string_view text) {
    if (text.size() <= text_bytes_max) {
        return text;
    }
    std::size_t size = text_bytes_max;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) {
        --size;
    }
    return text.substr(0, size);
}

bool is_plain_number(double value) {
    return std::isfinite(value) && value >= 0;
}

}  // namespace

refusal_reason reason_of(errc code) noexcept {
    switch (code) {
        case errc::limit_exceeded:
            return refusal_reason::full;
        case errc::unavailable:
        case errc::closed:
            return refusal_reason::draining;
        case errc::deadline_exceeded:
            return refusal_reason::too_late;
        case errc::cancelled:
            return refusal_reason::cancelled;
        default:
            return refusal_reason::failed;
    }
}

errc code_of(refusal_reason reason) noexcept {
    switch (reason) {
        case refusal_reason::full:
            return errc::limit_exceeded;
        case refusal_reason::draining:
            return errc::unavailable;
        case refusal_reason::too_late:
            return errc::deadline_exceeded;
        case refusal_reason::cancelled:
            return errc::cancelled;
        case refusal_reason::failed:
            break;
    }
    return errc::internal;
}

end head_of(const faas::outcome& from, std::uint32_t idle) {
    return {.succeeded = from.status == faas::invocation_status::succeeded,
            .cold_start = from.cold_start,
            .not_started = from.not_started,
            .failure = from.failure,
            .idle = idle,
            .duration_ms = from.duration_ms,
            .cpu_ms = from.cpu_ms,
            .init_ms = from.init_ms,
            .memory_mb_peak = from.memory_mb_peak,
            .section_bytes = {static_cast<std::uint32_t>(from.error_message.size()),
                              static_cast<std::uint32_t>(from.result_json.size()),
                              static_cast<std::uint32_t>(from.stack_trace_json.size()),
                              static_cast<std::uint32_t>(from.logs.size())},
            .error_type = short_text(from.error_type)};
}

faas::outcome outcome_of(const end& head) {
    faas::outcome out;
    out.status =
        head.succeeded ? faas::invocation_status::succeeded : faas::invocation_status::failed;
    out.error_type = head.error_type;
    out.stack_trace_json.clear();
    out.duration_ms = head.duration_ms;
    out.cpu_ms = head.cpu_ms;
    out.init_ms = head.init_ms;
    out.cold_start = head.cold_start;
    out.memory_mb_peak = head.memory_mb_peak;
    out.failure = head.failure;
    out.not_started = head.not_started;
    return out;
}

void put_payload(std::string& out, const hello& said) {
    out += magic;
    put(out, said.version);
    put(out, static_cast<std::uint16_t>(said.token.size()));
    put(out, static_cast<std::uint16_t>(said.worker_id.size()));
    out += said.token;
    out += said.worker_id;
}

void put_payload(std::string& out, const welcome& said) {
    put(out, said.version);
    put(out, std::uint16_t{0});
    put(out, said.report_interval_ms);
}

void put_payload(std::string& out, const goodbye& said) {
    put(out, static_cast<std::uint16_t>(said.reason));
    out += short_text(said.text);
}

void put_payload(std::string& out, const credit& said) {
    put(out, said.window);
}

void put_payload(std::string& out, const warm& said) {
    put(out, said.idle);
    put(out, static_cast<std::uint64_t>(said.revision));
    out += said.function_id;
}

void put_payload(std::string& out, const define& said) {
    put(out, said.slot);
    out += said.function;
}

void put_payload(std::string& out, const retire& said) {
    put(out, static_cast<std::uint64_t>(said.current_revision));
    out += said.function_id;
}

void put_payload(std::string& out, const invoke& said) {
    put(out, said.slot);
    put(out, said.event_bytes);
    put(out, said.wait_ms);
    put(out, static_cast<std::uint16_t>(said.job_id.size()));
    put(out, static_cast<std::uint16_t>(said.request_id.size()));
    out += said.job_id;
    out += said.request_id;
}

void put_payload(std::string& out, const window& said) {
    put(out, said.bytes);
}

void put_payload(std::string& out, const end& said) {
    put(out, static_cast<std::uint8_t>(said.succeeded ? 1 : 0));
    put(out, static_cast<std::uint8_t>(said.failure));
    put(out, static_cast<std::uint8_t>((said.cold_start ? cold_start_bit : 0) |
                                       (said.not_started ? not_started_bit : 0)));
    put(out, std::uint8_t{0});
    put(out, said.idle);
    put(out, std::bit_cast<std::uint64_t>(said.duration_ms));
    put(out, std::bit_cast<std::uint64_t>(said.cpu_ms));
    put(out, std::bit_cast<std::uint64_t>(said.init_ms));
    put(out, static_cast<std::uint64_t>(said.memory_mb_peak));
    for (const std::uint32_t each : said.section_bytes) {
        put(out, each);
    }
    put(out, static_cast<std::uint32_t>(said.error_type.size()));
    out += said.error_type;
}

void put_payload(std::string& out, const refused& said) {
    put(out, static_cast<std::uint16_t>(said.reason));
    out += short_text(said.text);
}

template <>
result<hello> decode(std::string_view payload) {
    field_reader from(payload);
    hello said;
    if (from.text(magic.size()) != magic) {
        return malformed("hello of something that is no worker of Hearth");
    }
    said.version = from.number<std::uint16_t>();
    if (!from.ok()) {
        return malformed("hello");
    }
    if (said.version != protocol_version) {
        return said;
    }
    const auto token_bytes = from.number<std::uint16_t>();
    const auto id_bytes = from.number<std::uint16_t>();
    said.token = from.text(token_bytes);
    said.worker_id = from.text(id_bytes);
    if (!from.complete() || token_bytes > token_bytes_max || !is_well_formed_id(said.worker_id)) {
        return malformed("hello");
    }
    return said;
}

template <>
result<welcome> decode(std::string_view payload) {
    field_reader from(payload);
    welcome said;
    said.version = from.number<std::uint16_t>();
    const auto reserved = from.number<std::uint16_t>();
    said.report_interval_ms = from.number<std::uint32_t>();
    if (!from.complete() || reserved != 0 || said.report_interval_ms == 0) {
        return malformed("welcome");
    }
    return said;
}

template <>
result<goodbye> decode(std::string_view payload) {
    field_reader from(payload);
    goodbye said;
    const auto reason = from.number<std::uint16_t>();
    said.text = from.rest();
    if (!from.complete() || reason < 1 ||
        reason > static_cast<std::uint16_t>(goodbye_reason_last)) {
        return malformed("goodbye");
    }
    said.reason = static_cast<goodbye_reason>(reason);
    return said;
}

template <>
result<credit> decode(std::string_view payload) {
    field_reader from(payload);
    const credit said{.window = from.number<std::uint32_t>()};
    if (!from.complete() || said.window > credits_max) {
        return malformed("credit");
    }
    return said;
}

template <>
result<warm> decode(std::string_view payload) {
    field_reader from(payload);
    warm said;
    said.idle = from.number<std::uint32_t>();
    said.revision = static_cast<std::int64_t>(from.number<std::uint64_t>());
    said.function_id = from.rest();
    if (!from.complete() || said.revision < 1 || !is_well_formed_id(said.function_id)) {
        return malformed("warm");
    }
    return said;
}

template <>
result<define> decode(std::string_view payload) {
    field_reader from(payload);
    define said;
    said.slot = from.number<std::uint32_t>();
    said.function = from.rest();
    if (!from.complete() || said.slot >= definitions_max) {
        return malformed("define");
    }
    return said;
}

template <>
result<retire> decode(std::string_view payload) {
    field_reader from(payload);
    retire said;
    said.current_revision = static_cast<std::int64_t>(from.number<std::uint64_t>());
    said.function_id = from.rest();
    if (!from.complete() || said.current_revision < 0 || !is_well_formed_id(said.function_id)) {
        return malformed("retire");
    }
    return said;
}

template <>
result<invoke> decode(std::string_view payload) {
    field_reader from(payload);
    invoke said;
    said.slot = from.number<std::uint32_t>();
    said.event_bytes = from.number<std::uint32_t>();
    said.wait_ms = from.number<std::uint32_t>();
    const auto job_bytes = from.number<std::uint16_t>();
    const auto request_bytes = from.number<std::uint16_t>();
    said.job_id = from.text(job_bytes);
    said.request_id = from.text(request_bytes);
    if (!from.complete() || said.slot >= definitions_max ||
        said.event_bytes > faas::payload_bytes_max || !is_well_formed_id(said.job_id) ||
        !is_well_formed_id(said.request_id)) {
        return malformed("invoke");
    }
    return said;
}

template <>
result<window> decode(std::string_view payload) {
    field_reader from(payload);
    const window said{.bytes = from.number<std::uint32_t>()};
    if (!from.complete() || said.bytes == 0) {
        return malformed("window");
    }
    return said;
}

template <>
result<end> decode(std::string_view payload) {
    field_reader from(payload);
    end said;
    const auto succeeded = from.number<std::uint8_t>();
    const auto failure = from.number<std::uint8_t>();
    const auto bits = from.number<std::uint8_t>();
    const auto reserved = from.number<std::uint8_t>();
    said.idle = from.number<std::uint32_t>();
    said.duration_ms = std::bit_cast<double>(from.number<std::uint64_t>());
    said.cpu_ms = std::bit_cast<double>(from.number<std::uint64_t>());
    said.init_ms = std::bit_cast<double>(from.number<std::uint64_t>());
    said.memory_mb_peak = static_cast<std::int64_t>(from.number<std::uint64_t>());
    for (std::uint32_t& each : said.section_bytes) {
        each = from.number<std::uint32_t>();
    }
    said.error_type = from.text(from.number<std::uint32_t>());
    if (!from.complete() || succeeded > 1 || reserved != 0 ||
        failure > static_cast<std::uint8_t>(faas::failure_kind_last) ||
        bits > (cold_start_bit | not_started_bit) || !is_plain_number(said.duration_ms) ||
        !is_plain_number(said.cpu_ms) || !is_plain_number(said.init_ms) ||
        said.memory_mb_peak < 0 ||
        !std::ranges::equal(said.section_bytes, end_section_bytes_max, std::less_equal<>())) {
        return malformed("end");
    }
    said.succeeded = succeeded == 1;
    said.failure = static_cast<faas::failure_kind>(failure);
    said.cold_start = (bits & cold_start_bit) != 0;
    said.not_started = (bits & not_started_bit) != 0;
    return said;
}

template <>
result<refused> decode(std::string_view payload) {
    field_reader from(payload);
    refused said;
    const auto reason = from.number<std::uint16_t>();
    said.text = from.rest();
    if (!from.complete() || reason < 1 ||
        reason > static_cast<std::uint16_t>(refusal_reason_last)) {
        return malformed("refused");
    }
    said.reason = static_cast<refusal_reason>(reason);
    return said;
}

}  // namespace hearth::lane
