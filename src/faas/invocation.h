#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "faas/failure.h"
#include "faas/function.h"

// The domain: one call of a function and how it ended. No I/O.

namespace hearth::faas {

// Learns that a function begins: from then on a second attempt could run it twice. Once at most, on
// the loop's thread, from within invoke().
class start_watcher {
public:
    virtual void on_started() noexcept = 0;

protected:
    ~start_watcher() = default;
};

// What is to be run. `event` is JSON text that was checked to be one valid value.
struct invocation {
    std::string job_id;
    std::string request_id;
    std::shared_ptr<const function> target;
    std::string event;
    start_watcher* watcher = nullptr;  // may be null; outlives the invocation
};

enum class invocation_status : std::uint8_t {
    queued,     // accepted, not started
    running,    // handed to a sandbox
    succeeded,  // the handler returned
    failed,     // it did not, for good
    dead,       // a job that failed on every attempt and moved to the dead letters
};

// "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "DEAD".
[[nodiscard]] std::string_view to_string(invocation_status status) noexcept;
[[nodiscard]] bool status_from_string(std::string_view text, invocation_status& status) noexcept;

// How an invocation ended. `result_json` is one valid JSON value when it succeeded; otherwise the
// error fields are set, `stack_trace_json` to a JSON array.
struct outcome {
    invocation_status status = invocation_status::failed;
    std::string result_json;
    std::string error_type;
    std::string error_message;
    std::string stack_trace_json = "[]";
    std::string logs;        // at most log_bytes_max, with a mark where it was cut
    double duration_ms = 0;  // in the handler
    double cpu_ms = 0;       // of all processes of the sandbox, meanwhile; 0 where it is not known
    double init_ms = 0;      // start of the sandbox and import; 0 when it was warm
    bool cold_start = false;
    std::int64_t memory_mb_peak = 0;  // of the sandbox since it was made, as on AWS Lambda
    failure_kind failure = failure_kind::none;  // not kept in records
    // The function never began: another attempt cannot run it twice.
    bool not_started = false;
    // It never began for a reason that lies with this host or a service and may pass: to be tried
    // again, and no attempt of the job. Not kept in records.
    bool host_trouble = false;
    // Whoever ran the call records it, under its job id; nobody else may. Not kept in records. Then
    // `status` may also be one that is not final: the caller's deadline passed first.
    bool recorded = false;
};

// What is known of a job at any time; the body of GET /status/:jobId.
struct invocation_record {
    std::string job_id;
    std::string request_id;
    std::string function_id;
    invocation_status status = invocation_status::queued;
    std::int64_t attempts = 0;
    epoch_ms created_at = 0;
    epoch_ms updated_at = 0;
    outcome end;  // meaningful once the status is final
};

[[nodiscard]] constexpr bool is_final(invocation_status status) noexcept {
    return status == invocation_status::succeeded || status == invocation_status::failed ||
           status == invocation_status::dead;
}

}  // namespace hearth::faas
