#include "faas/record_codec.h"

#include "base/concat.h"
#include "base/json.h"

namespace hearth::faas {
namespace {

constexpr std::int64_t format_version = 1;

std::unexpected<error> corrupt(std::string_view what) {
    return fail(errc::corrupt, concat("a stored invocation record is damaged: ", what));
}

// The next `bytes` of `text`, which becomes the rest.
bool take_part(std::string_view& text, std::int64_t bytes, std::string& into) {
    if (bytes < 0 || static_cast<std::size_t>(bytes) > text.size()) {
        return false;
    }
    into = text.substr(0, static_cast<std::size_t>(bytes));
    text.remove_prefix(static_cast<std::size_t>(bytes));
    return true;
}

bool is_json(std::string_view text) {
    return json::validate(text).has_value();
}

}  // namespace

std::string encode(const invocation_record& record) {
    json::writer out;
    out.begin_object();
    out.member("v", format_version);
    out.member("jobId", record.job_id);
    out.member("requestId", record.request_id);
    out.member("functionId", record.function_id);
    out.member("status", to_string(record.status));
    out.member("attempts", record.attempts);
    out.member("createdAt", record.created_at);
    out.member("updatedAt", record.updated_at);
    const outcome& end = record.end;
    out.member("outcome", to_string(end.status));
    out.member("errorType", end.error_type);
    out.member("errorMessage", end.error_message);
    out.member("durationMs", end.duration_ms);
    out.member("cpuMs", end.cpu_ms);
    out.member("initMs", end.init_ms);
    out.member("coldStart", end.cold_start);
    out.member("memoryMbPeak", end.memory_mb_peak);
    out.member("resultBytes", end.result_json.size());
    out.member("stackTraceBytes", end.stack_trace_json.size());
    out.member("logBytes", end.logs.size());
    out.end_object();
    return concat(out.view(), '\n', end.result_json, end.stack_trace_json, end.logs);
}

result<invocation_record> decode_record(std::string_view text) {
    const auto line_end = text.find('\n');
    if (line_end == std::string_view::npos) {
        return corrupt("its first line does not end");
    }
    auto parsed = json::document::parse(text.substr(0, line_end));
    if (!parsed) {
        return corrupt(parsed.error().message);
    }
    json::member_reader from(parsed->root());
    if (from.integer("v") != format_version) {
        return corrupt("its format is unknown; is another version of Hearth at work?");
    }
    invocation_record record;
    record.job_id = from.text("jobId");
    record.request_id = from.text("requestId");
    record.function_id = from.text("functionId");
    const auto status = from.text("status");
    record.attempts = from.integer("attempts");
    record.created_at = from.integer("createdAt");
    record.updated_at = from.integer("updatedAt");
    outcome& end = record.end;
    const auto end_status = from.text("outcome");
    end.error_type = from.text("errorType");
    end.error_message = from.text("errorMessage");
    end.duration_ms = from.number("durationMs");
    end.cpu_ms = from.number("cpuMs");
    end.init_ms = from.number("initMs");
    end.cold_start = from.flag("coldStart");
    end.memory_mb_peak = from.integer("memoryMbPeak");
    const auto result_bytes = from.integer("resultBytes");
    const auto stack_bytes = from.integer("stackTraceBytes");
    const auto log_bytes = from.integer("logBytes");
    if (!from.missing().empty()) {
        return corrupt(concat("it lacks ", from.missing()));
    }
    if (!status_from_string(status, record.status) || !status_from_string(end_status, end.status)) {
        return corrupt("its status is unknown");
    }
    auto rest = text.substr(line_end + 1);
    if (!take_part(rest, result_bytes, end.result_json) ||
        !take_part(rest, stack_bytes, end.stack_trace_json) ||
        !take_part(rest, log_bytes, end.logs) || !rest.empty()) {
        return corrupt("its lengths do not match");
    }
    if ((!end.result_json.empty() && !is_json(end.result_json)) ||
        (!end.stack_trace_json.empty() && !is_json(end.stack_trace_json))) {
        return corrupt("its result is not JSON");
    }
    return record;
}

}  // namespace hearth::faas
