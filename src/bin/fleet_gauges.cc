#include "fleet_gauges.h"

#include <limits>

namespace hearth {

void fleet_gauges::set_workers(const ctrl::worker_registry::totals& sum) {
    set_each("hearth_workers", "Workers by what their heartbeats tell", "state",
             {{"live", sum.live - sum.draining}, {"draining", sum.draining}, {"dead", sum.dead}});
    set_each("hearth_fleet_sandboxes", "Sandboxes of all live workers", "state",
             {{"possible", sum.sandboxes_max}, {"busy", sum.sandboxes_busy}});
}

void fleet_gauges::set_backlog(const backlog_meter::reading& now, std::optional<milliseconds> age) {
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    const auto of_depth = [&](std::int64_t faas::job_queue::depth::* member) {
        return now.depth ? static_cast<double>((*now.depth).*member) : unknown;
    };
    set_each("hearth_jobs", "Jobs by where they stand; NaN while the queue does not say", "state",
             {{"visible", of_depth(&faas::job_queue::depth::visible)},
              {"in_flight", of_depth(&faas::job_queue::depth::in_flight)},
              {"dead", of_depth(&faas::job_queue::depth::dead)}});
    set("hearth_jobs_up", "1 when the queue has just said what it holds", now.depth ? 1 : 0);
    set("hearth_jobs_age_seconds", "Since the queue last said so",
        age ? std::chrono::duration<double>(*age).count() : unknown);
    set("hearth_fleet_workers", "Workers that take jobs, as all controllers together hear",
        now.workers ? static_cast<double>(*now.workers) : unknown);
    set("hearth_backlog_per_instance", "Jobs in the queue, running ones too, for each such worker",
        now.depth && now.workers ? backlog_per_instance(*now.depth, *now.workers) : unknown);
}

void fleet_gauges::set_code_sweep(const ctrl::code_sweep::statistics& counts) {
    set_each("hearth_code_sweeps", "Searches for code that no function uses", "event",
             {{"begun", counts.runs}, {"failed", counts.failed}});
    set("hearth_code_removed", "Code that was removed, as no function used it", counts.removed);
    set("hearth_code_unused", "Code that no function uses, as the last search found",
        counts.unused);
}

void fleet_gauges::set_queued(const ctrl::queued_invoker_statistics& calls) {
    set("hearth_queued_calls", "Synchronous calls that went through the queue", calls.calls);
    set("hearth_queued_calls_given_up", "Those whose caller's deadline passed first",
        calls.given_up);
    set("hearth_queued_calls_by_record", "Those whose outcome was found in the record, not heard",
        calls.found_by_log);
}

void fleet_gauges::set_dead_letters(const worker::dead_letter_statistics& counts) {
    set_each("hearth_dead_letters",
             "Dead letters whose records were made to say so, and failed steps", "event",
             {{"recorded", counts.dead}, {"error", counts.errors}});
}

void fleet_gauges::set_rate_limit(const redis::rate_limiter& limiter) {
    using redis::limiter_trouble;
    set("hearth_rate_limit_unasked", "Requests that passed because Redis could not be asked",
        limiter.passed_unasked());
    set("hearth_rate_limit_up", "1 while Redis can be asked for the rate limit",
        limiter.trouble() == limiter_trouble::none ? 1 : 0);
    for (std::size_t kind = 1; kind < redis::limiter_trouble_kinds; ++kind) {
        const auto each = static_cast<limiter_trouble>(kind);
        set("hearth_rate_limit_errors", "Checks of the rate limit that Redis did not make",
            limiter.failures(each), {{"kind", std::string(to_string(each))}});
    }
}

void fleet_gauges::set_heartbeats(const worker::heartbeat::statistics& counts) {
    set_each("hearth_heartbeats", "Heartbeats by what became of them", "event",
             {{"taken", counts.sent}, {"failed", counts.failed}});
}

void fleet_gauges::set_lane_records(const worker::lane_recorder_statistics& counts) {
    set_each("hearth_lane_records",
             "Outcomes of calls that had lost their lane, by what became of them", "event",
             {{"recorded", counts.recorded}, {"known", counts.known}, {"lost", counts.lost}});
}

}  // namespace hearth
