#include "aws/job_message.h"

#include <array>
#include <cstdio>

#include "base/concat.h"
#include "base/ids.h"
#include "base/json.h"

namespace hearth::aws {
namespace {

// Far above what jobs have, far below what a sum could not hold.
constexpr std::int64_t attempts_before_max = 1'000;

constexpr std::int64_t format_version = 1;

void append_unit(std::string& out, std::uint32_t unit) {
    std::array<char, 7> text{};
    std::snprintf(text.data(), text.size(), "\\u%04x", unit);
    out += text.data();
}

// Of valid UTF-8: what begins at `at` needs an escape.
bool needs_escape(std::string_view text, std::size_t at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    return byte >= 0xF0 || (byte == 0xEF && at + 2 < text.size() &&
                            static_cast<unsigned char>(text[at + 1]) == 0xBF &&
                            static_cast<unsigned char>(text[at + 2]) >= 0xBE);
}

std::string escape_for_sqs(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    for (std::size_t i = 0; i < json.size();) {
        const auto bits = [&](std::size_t offset, std::uint32_t mask) {
            return static_cast<std::uint32_t>(static_cast<unsigned char>(json[i + offset])) & mask;
        };
        if (!needs_escape(json, i)) {
            out += json[i++];
        } else if (bits(0, 0xFF) == 0xEF) {
            append_unit(out, (bits(1, 0x3F) << 6) | bits(2, 0x3F) | 0xF000);
            i += 3;
        } else if (i + 3 < json.size()) {
            const std::uint32_t code = ((bits(0, 0x07) << 18) | (bits(1, 0x3F) << 12) |
                                        (bits(2, 0x3F) << 6) | bits(3, 0x3F)) -
                                       0x10000;
            append_unit(out, 0xD800 + (code >> 10));
            append_unit(out, 0xDC00 + (code & 0x3FF));
            i += 4;
        } else {
            break;  // not UTF-8; the event was checked at the door
        }
    }
    return out;
}

std::unexpected<error> corrupt(std::string_view what) {
    return fail(errc::corrupt, concat("a message of the queue is not a job: ", what));
}

}  // namespace

std::string encode(const job_message& message) {
    const std::string event = escape_for_sqs(message.content.event);
    json::writer out;
    out.begin_object();
    out.member("v", format_version);
    out.member("jobId", message.content.job_id);
    out.member("requestId", message.content.request_id);
    out.member("functionId", message.content.function_id);
    out.member("callerDeadline", message.content.caller_deadline);
    out.member("createdAt", message.content.created_at);
    out.member("attemptsBefore", message.attempts_before);
    out.member("settled", message.settled);
    out.member("eventBlob", message.event_blob);
    out.member("eventBytes", event.size());
    out.end_object();
    return concat(out.view(), '\n', event);
}

result<job_message> decode_job_message(std::string_view body) {
    const auto line_end = body.find('\n');
    if (line_end == std::string_view::npos) {
        return corrupt("its first line does not end");
    }
    const auto parsed = json::document::parse(body.substr(0, line_end));
    if (!parsed) {
        return corrupt(parsed.error().message);
    }
    json::member_reader from(parsed->root());
    const auto version = from.integer("v");
    const auto bytes = from.integer("eventBytes");
    job_message out;
    out.content.caller_deadline = from.integer("callerDeadline");
    out.content.created_at = from.integer("createdAt");
    out.attempts_before = from.integer("attemptsBefore");
    out.settled = from.flag("settled");
    out.content.job_id = from.text("jobId");
    out.content.request_id = from.text("requestId");
    out.content.function_id = from.text("functionId");
    out.event_blob = from.text("eventBlob");
    if (!from.missing().empty() || version != format_version) {
        return corrupt("a field is missing, or another version of Hearth wrote it");
    }
    if (static_cast<std::int64_t>(body.size() - line_end - 1) != bytes || out.attempts_before < 0 ||
        out.attempts_before > attempts_before_max || !is_well_formed_id(out.content.job_id)) {
        return corrupt("its fields do not fit together");
    }
    out.content.event = body.substr(line_end + 1);
    return out;
}

}  // namespace hearth::aws
