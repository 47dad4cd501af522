#include "ring_gauges.h"

namespace hearth {

void ring_gauges::add(const shard::load& load) {
    const auto count = [](std::uint64_t& into, std::uint64_t from) {
        return into += from;
    };
    auto& ring = sum_.ring;
    set("hearth_coroutine_frames_live", "Coroutine frames alive",
        count(sum_.frames_live, load.frames_live));
    set("hearth_http_connections", "Open HTTP connections",
        count(sum_.connections, load.connections));
    set("hearth_http_connections_accepted", "HTTP connections since the start",
        count(sum_.connections_accepted, load.connections_accepted));
    set("hearth_ring_operations_in_flight", "Operations in the kernel",
        count(sum_.operations_in_flight, load.operations_in_flight));
    set("hearth_ring_turns", "Turns of the event loops", count(ring.turns, load.ring.turns));
    set("hearth_ring_enters", "io_uring_enter calls", count(ring.enters, load.ring.enters));
    set("hearth_ring_submissions", "Operations submitted",
        count(ring.submissions, load.ring.submissions));
    set("hearth_ring_completions", "Completions collected",
        count(ring.completions, load.ring.completions));
    set("hearth_ring_cancellations", "Cancel requests",
        count(ring.cancellations, load.ring.cancellations));
    set("hearth_ring_budget_waits", "Operations that waited for room in the completion queue",
        count(ring.budget_waits, load.ring.budget_waits));
    set("hearth_ring_queue_full", "Times the submission queue was full",
        count(ring.queue_full, load.ring.queue_full));
    set("hearth_ring_no_buffers", "Receives that found no buffer",
        count(ring.no_buffers, load.ring.no_buffers));
    set("hearth_ring_buffer_copies", "Receives copied out of a pool that ran low",
        count(ring.buffer_copies, load.ring.buffer_copies));
    set("hearth_ring_rearms", "Multishot operations started again",
        count(ring.rearms, load.ring.rearms));
}

void ring_gauges::set_jobs(const faas::job_queue::depth& depth,
                           const worker::intake_statistics& jobs) {
    set_each("hearth_jobs", "Jobs by where they stand", "state",
             {{"visible", depth.visible}, {"in_flight", depth.in_flight}, {"dead", depth.dead}});
    set_job_events(jobs);
}

void ring_gauges::set_job_events(const worker::intake_statistics& jobs) {
    set_each("hearth_job_events", "What became of deliveries since the start", "event",
             {{"received", jobs.received},
              {"succeeded", jobs.succeeded},
              {"retried", jobs.retried},
              {"dead", jobs.dead},
              {"duplicate", jobs.duplicates},
              {"error", jobs.errors}});
}

void ring_gauges::set_calls(const ctrl::calls_statistics& calls, std::size_t live) {
    set("hearth_calls_live", "Synchronous calls, recording included", live);
    set("hearth_calls_abandoned", "Calls whose caller's deadline passed first", calls.abandoned);
    set("hearth_records_lost", "Outcomes of synchronous calls that were not recorded",
        calls.records_lost);
}

void ring_gauges::set_lanes(ctrl::lane_hub& lanes, const ctrl::lane_invoker_statistics& calls) {
    set("hearth_lanes", "Lanes that workers keep open", lanes.lanes());
    set("hearth_lanes_refused", "Attempts at a lane: wrong token, version, silence, too many",
        lanes.statistics().refused);
    set("hearth_lanes_crowded_out", "Of these, silent ones whose places newer streams took",
        lanes.statistics().crowded_out);
    set("hearth_lane_strangers", "Streams that have not said hello yet", lanes.strangers());
    const char* credits = "Calls that workers take over lanes at once";
    set_each("hearth_lane_credits", credits, "state",
             {{"all", lanes.scheduler().credits()}, {"free", lanes.scheduler().credits_free()}});
    set("hearth_lane_calls_waiting", "Calls in line for a lane", lanes.scheduler().waiting());
    set_each("hearth_lane_calls", "Calls by what became of them on lanes", "event",
             {{"answered", calls.answered},
              {"resent", calls.resent},
              {"lost", calls.lost},
              {"left", calls.left},
              {"queued", calls.fell_back}});
}

}  // namespace hearth
