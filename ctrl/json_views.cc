#include "ctrl/json_views.h"

namespace hearth::ctrl {
namespace {

void write_times(json::writer& out, epoch_ms created_at, epoch_ms updated_at) {
    out.member("createdAt", format_rfc3339(created_at));
    out.member("updatedAt", format_rfc3339(updated_at));
}

void write_end(json::writer& out, const faas::outcome& end) {
    if (end.status != faas::invocation_status::succeeded) {
        out.begin_object("error");
        out.member("type", end.error_type);
        out.member("message", end.error_message);
        out.member_raw("stackTrace", end.stack_trace_json);
        out.end_object();
    }
    out.member("logs", end.logs);
    out.member("durationMs", end.duration_ms);
    out.member("cpuMs", end.cpu_ms);
    out.member("initMs", end.init_ms);
    out.member("coldStart", end.cold_start);
    out.member("maxMemoryMb", end.memory_mb_peak);
}

// `head` is an object that lacks its end; the result becomes its last member.
http::response finish(json::writer& head, faas::outcome& end) {
    std::string text = std::move(head).take();
    http::response out(200);
    out.set_content_type("application/json");
    if (end.status == faas::invocation_status::succeeded) {
        text.pop_back();  // the closing brace
        text += ",\"result\":";
        out.append(std::move(text)).append(std::move(end.result_json)).append("}");
    } else {
        out.append(std::move(text));
    }
    return out;
}

}  // namespace

void write_function(json::writer& out, const faas::function& shown) {
    out.begin_object();
    out.member("functionId", shown.id);
    out.member("name", shown.name);
    out.member("runtime", shown.runtime);
    out.member("handler", shown.handler);
    out.member("memoryMb", shown.memory_mb);
    out.member("timeoutMs", shown.timeout_ms);
    out.member("codeSha256", shown.code_sha256);
    out.member("codeSize", shown.code_size);
    out.member("revision", shown.revision);
    write_times(out, shown.created_at, shown.updated_at);
    out.end_object();
}

http::response run_response(const std::string& job_id, const std::string& request_id,
                            const std::string& function_id, faas::outcome end) {
    json::writer out;
    out.begin_object();
    out.member("jobId", job_id);
    out.member("requestId", request_id);
    out.member("functionId", function_id);
    out.member("status", faas::to_string(end.status));
    write_end(out, end);
    out.end_object();
    return finish(out, end);
}

http::response status_response(faas::invocation_record record) {
    json::writer out;
    out.begin_object();
    out.member("jobId", record.job_id);
    if (!record.function_id.empty()) {  // of a job in a queue that cannot be asked
        out.member("requestId", record.request_id);
        out.member("functionId", record.function_id);
    }
    out.member("status", faas::to_string(record.status));
    out.member("attempts", record.attempts);
    write_times(out, record.created_at, record.updated_at);
    if (!faas::is_final(record.status)) {
        out.end_object();
        return http::response::json(200, std::move(out).take());
    }
    record.end.status = record.status;
    write_end(out, record.end);
    out.end_object();
    return finish(out, record.end);
}

}  // namespace hearth::ctrl
