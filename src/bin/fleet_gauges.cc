#include "fleet_gauges.h"

#include <limits>

namespace hearth {
namespace {

constexpr auto number = [](auto value) {
    return static_cast<double>(value);
};

}  // namespace

void fleet_gauges::set(const char* name, const char* help, double value,
                       const prometheus::Labels& labels) {
    prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels).Set(value);
}

void fleet_gauges::set_workers(const ctrl::worker_registry::totals& sum) {
    const char* help = "Workers by what their heartbeats tell";
    set("hearth_workers", help, number(sum.live - sum.draining), {{"state", "live"}});
    set("hearth_workers", help, number(sum.draining), {{"state", "draining"}});
    set("hearth_workers", help, number(sum.dead), {{"state", "dead"}});
    set("hearth_fleet_sandboxes", "Sandboxes of all live workers", number(sum.sandboxes_max),
        {{"state", "possible"}});
    set("hearth_fleet_sandboxes", "Sandboxes of all live workers", number(sum.sandboxes_busy),
        {{"state", "busy"}});
}

void fleet_gauges::set_backlog(const backlog_meter::reading& now, std::optional<milliseconds> age) {
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    const auto of_depth = [&](std::int64_t faas::job_queue::depth::* member) {
        return now.depth ? number((*now.depth).*member) : unknown;
    };
    const char* help = "Jobs by where they stand; NaN while the queue does not say";
    set("hearth_jobs", help, of_depth(&faas::job_queue::depth::visible), {{"state", "visible"}});
    set("hearth_jobs", help, of_depth(&faas::job_queue::depth::in_flight),
        {{"state", "in_flight"}});
    set("hearth_jobs", help, of_depth(&faas::job_queue::depth::dead), {{"state", "dead"}});
    set("hearth_jobs_up", "1 when the queue has just said what it holds", now.depth ? 1 : 0);
    set("hearth_jobs_age_seconds", "Since the queue last said so",
        age ? std::chrono::duration<double>(*age).count() : unknown);
    set("hearth_fleet_workers", "Workers that take jobs, as all controllers together hear",
        now.workers ? number(*now.workers) : unknown);
    set("hearth_backlog_per_instance", "Jobs in the queue, running ones too, for each such worker",
        now.depth && now.workers ? backlog_per_instance(*now.depth, *now.workers) : unknown);
}

void fleet_gauges::set_code_sweep(const ctrl::code_sweep::statistics& counts) {
    const char* help = "Searches for code that no function uses";
    set("hearth_code_sweeps", help, number(counts.runs), {{"event", "begun"}});
    set("hearth_code_sweeps", help, number(counts.failed), {{"event", "failed"}});
    set("hearth_code_removed", "Code that was removed, as no function used it",
        number(counts.removed));
    set("hearth_code_unused", "Code that no function uses, as the last search found",
        number(counts.unused));
}

void fleet_gauges::set_queued(const ctrl::queued_invoker_statistics& calls) {
    set("hearth_queued_calls", "Synchronous calls that went through the queue",
        number(calls.calls));
    set("hearth_queued_calls_given_up", "Those whose caller's deadline passed first",
        number(calls.given_up));
    set("hearth_queued_calls_by_record", "Those whose outcome was found in the record, not heard",
        number(calls.found_by_log));
}

void fleet_gauges::set_lanes(ctrl::lane_hub& lanes, const ctrl::lane_invoker_statistics& calls) {
    set("hearth_lanes", "Lanes that workers keep open", number(lanes.lanes()));
    set("hearth_lanes_refused", "Attempts at a lane: wrong token, version, silence, too many",
        number(lanes.statistics().refused));
    set("hearth_lanes_crowded_out", "Of these, silent ones whose places newer streams took",
        number(lanes.statistics().crowded_out));
    set("hearth_lane_strangers", "Streams that have not said hello yet", number(lanes.strangers()));
    const char* credits = "Calls that workers take over lanes at once";
    set("hearth_lane_credits", credits, number(lanes.scheduler().credits()), {{"state", "all"}});
    set("hearth_lane_credits", credits, number(lanes.scheduler().credits_free()),
        {{"state", "free"}});
    set("hearth_lane_calls_waiting", "Calls in line for a lane",
        number(lanes.scheduler().waiting()));
    const char* help = "Calls by what became of them on lanes";
    set("hearth_lane_calls", help, number(calls.answered), {{"event", "answered"}});
    set("hearth_lane_calls", help, number(calls.resent), {{"event", "resent"}});
    set("hearth_lane_calls", help, number(calls.lost), {{"event", "lost"}});
    set("hearth_lane_calls", help, number(calls.left), {{"event", "left"}});
    set("hearth_lane_calls", help, number(calls.fell_back), {{"event", "queued"}});
}

void fleet_gauges::set_dead_letters(const worker::dead_letter_statistics& counts) {
    const char* help = "Dead letters whose records were made to say so, and failed steps";
    set("hearth_dead_letters", help, number(counts.dead), {{"event", "recorded"}});
    set("hearth_dead_letters", help, number(counts.errors), {{"event", "error"}});
}

void fleet_gauges::set_rate_limit(const redis::rate_limiter& limiter) {
    using redis::limiter_trouble;
    set("hearth_rate_limit_unasked", "Requests that passed because Redis could not be asked",
        number(limiter.passed_unasked()));
    set("hearth_rate_limit_up", "1 while Redis can be asked for the rate limit",
        limiter.trouble() == limiter_trouble::none ? 1 : 0);
    for (std::size_t kind = 1; kind < redis::limiter_trouble_kinds; ++kind) {
        const auto each = static_cast<limiter_trouble>(kind);
        set("hearth_rate_limit_errors", "Checks of the rate limit that Redis did not make",
            number(limiter.failures(each)), {{"kind", std::string(to_string(each))}});
    }
}

void fleet_gauges::set_heartbeats(const worker::heartbeat::statistics& counts) {
    set("hearth_heartbeats", "Heartbeats by what became of them", number(counts.sent),
        {{"event", "taken"}});
    set("hearth_heartbeats", "Heartbeats by what became of them", number(counts.failed),
        {{"event", "failed"}});
}

void fleet_gauges::set_lane_records(const worker::lane_recorder_statistics& counts) {
    const char* help = "Outcomes of calls that had lost their lane, by what became of them";
    set("hearth_lane_records", help, number(counts.recorded), {{"event", "recorded"}});
    set("hearth_lane_records", help, number(counts.known), {{"event", "known"}});
    set("hearth_lane_records", help, number(counts.lost), {{"event", "lost"}});
}

}  // namespace hearth
