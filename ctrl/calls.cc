#include "ctrl/calls.h"

#include "base/log.h"
#include "ctrl/submission.h"

namespace hearth::ctrl {
namespace {

constexpr seconds record_wait{30};

}  // namespace

struct calls::live_call {
    faas::invocation call;
    deadline until;
    epoch_ms began_at = wall_clock_ms();
    event ended;
    result<faas::outcome> end = fail(errc::internal, "no outcome");
    bool caller_waits = true;
    faas::invocation_record kept;  // for the log, once it has ended
};

task<result<faas::outcome>> calls::run(faas::invocation call, deadline until) {
    auto live = std::make_shared<live_call>();
    live->call = std::move(call);
    live->until = until;
    if (!running_.spawn(execute(live))) {
        co_return fail(errc::limit_exceeded, "too many calls are running");
    }
    auto ended = co_await live->ended.wait(until);
    if (!live->ended.is_set()) {
        live->caller_waits = false;
        ++statistics_.abandoned;
        unrecorded_.emplace(live->call.job_id, live);
        if (ended.error().code == errc::deadline_exceeded) {
            co_await promise_outcome(*live);
        }
        co_return propagate(ended);
    }
    if (live->end && !faas::is_final(live->end->status)) {
        ++statistics_.abandoned;  // the invoker was the first to see the deadline, or ends
        if (live->end->status == faas::invocation_status::running) {
            co_await promise_outcome(*live);
        }
        co_return fail(errc::deadline_exceeded, "the caller is answered before the call ends");
    }
    co_return std::move(live->end);
}

task<void> calls::execute(std::shared_ptr<live_call> live) {
    live->end = co_await invoker_.invoke(live->call, live->until);
    if (live->end && live->end->recorded) {
        unrecorded_.erase(live->call.job_id);  // from now on the log knows better
        live->ended.set();
        co_return;
    }
    faas::invocation_record& kept = live->kept;
    kept.job_id = live->call.job_id;
    kept.request_id = live->call.request_id;
    kept.function_id = live->call.target->id;
    kept.attempts = 1;
    kept.created_at = live->began_at;
    kept.updated_at = wall_clock_ms();
    if (live->end) {
        kept.end = *live->end;
    } else {
        kept.end.error_type = faas::error_type::start_failed;
        kept.end.error_message = live->end.error().message;
        kept.attempts = 0;
    }
    kept.status = kept.end.status;
    // A refusal that the caller hears of leaves nothing to record; one by the deadline does, since
    // its caller is told to ask for the status.
    const bool recorded = live->end.has_value() || !live->caller_waits ||
                          live->end.error().code == errc::deadline_exceeded;
    if (recorded) {
        unrecorded_.emplace(kept.job_id, live);  // the caller may ask before the log knows
    }
    live->ended.set();
    if (recorded) {
        co_await record(*live);
        unrecorded_.erase(kept.job_id);
    }
}

faas::invocation_record calls::running_record(const live_call& live) {
    faas::invocation_record record;
    record.job_id = live.call.job_id;
    record.request_id = live.call.request_id;
    record.function_id = live.call.target->id;
    record.status = faas::invocation_status::running;
    record.attempts = 1;
    record.created_at = record.updated_at = live.began_at;
    return record;
}

// Its caller is about to hear that the status can be asked for, which has to hold after a crash.
task<void> calls::promise_outcome(const live_call& live) {
    auto created = co_await log_.create(running_record(live), after(record_wait));
    if (!created && created.error().code != errc::conflict) {  // conflict: it has ended meanwhile
        log::warning("a running call is not recorded",
                     {{"jobId", live.call.job_id}, {"reason", created.error().message}});
    }
}

task<void> calls::record(const live_call& live) {
    // Of a caller who was told to ask for the status, a record says that the call runs: after a
    // crash it would be a lost one. Anyone else has had the answer, and status() knows it
    // meanwhile.
    auto finished = live.caller_waits ? co_await log_.finish_behind(live.kept, after(record_wait))
                                      : co_await log_.finish(live.kept, after(record_wait));
    if (!finished) {
        ++statistics_.records_lost;
        log::warning("an outcome was not recorded",
                     {{"jobId", live.kept.job_id}, {"reason", finished.error().message}});
    }
}

task<result<>> calls::enqueue(const faas::invocation& call, deadline until) {
    return submit(log_, queue_, call, 0, until);
}

task<result<faas::invocation_record>> calls::status(const std::string& job_id, deadline until) {
    if (const auto found = unrecorded_.find(job_id); found != unrecorded_.end()) {
        const live_call& live = *found->second;
        if (live.ended.is_set()) {
            co_return live.kept;
        }
        co_return running_record(live);
    }
    co_return co_await log_.get(job_id, until);
}

}  // namespace hearth::ctrl
