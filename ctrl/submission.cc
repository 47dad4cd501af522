#include "ctrl/submission.h"

#include "base/log.h"

namespace hearth::ctrl {
namespace {

constexpr seconds withdrawal_wait{30};

}  // namespace

task<result<>> submit(faas::invocation_log& log, faas::job_queue& queue,
                      const faas::invocation& call, epoch_ms caller_deadline, deadline until) {
    faas::invocation_record record;
    record.job_id = call.job_id;
    record.request_id = call.request_id;
    record.function_id = call.target->id;
    record.status = faas::invocation_status::queued;
    record.created_at = record.updated_at = wall_clock_ms();
    const bool is_job = caller_deadline == 0;
    if (!is_job) {
        if (auto created = co_await log.create(record, until); !created) {
            co_return created;
        }
    }
    auto queued = co_await queue.enqueue({.job_id = call.job_id,
                                          .request_id = call.request_id,
                                          .function_id = call.target->id,
                                          .event = call.event,
                                          .caller_deadline = caller_deadline,
                                          .created_at = record.created_at},
                                         until);
    const bool refused = !queued && (queued.error().code == errc::limit_exceeded ||
                                     queued.error().code == errc::too_large);
    if (!queued && !(is_job && refused)) {
        // The caller is told that it was not taken: no record may promise otherwise.
        record.status = faas::invocation_status::failed;
        record.end.error_type = faas::error_type::start_failed;
        record.end.error_message = "not accepted: " + queued.error().message;
        if (auto withdrawn = co_await log.finish(record, after(withdrawal_wait)); !withdrawn) {
            log::warning("a refused job's record stays",
                         {{"jobId", call.job_id}, {"reason", withdrawn.error().message}});
        }
    }
    co_return queued;
}

}  // namespace hearth::ctrl
