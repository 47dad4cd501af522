#pragma once

#include "base/gauges.h"
#include "ctrl/calls.h"
#include "ctrl/lane_hub.h"
#include "ctrl/lane_invoker.h"
#include "faas/ports.h"
#include "shard.h"
#include "worker/intake.h"

namespace hearth {

// Gauges that are read off the running parts when /metrics is asked for: the rings' own counters
// summed over all threads, the job queue, calls, lanes.
class ring_gauges : gauges {
public:
    explicit ring_gauges(prometheus::Registry& registry) : gauges(registry) {}

    void begin() noexcept { sum_ = {}; }
    void add(const shard::load& load);
    void set_jobs(const faas::job_queue::depth& depth, const worker::intake_statistics& jobs);
    void set_job_events(const worker::intake_statistics& jobs);
    void set_calls(const ctrl::calls_statistics& calls, std::size_t live);
    void set_lanes(ctrl::lane_hub& lanes, const ctrl::lane_invoker_statistics& calls);

private:
    shard::load sum_;
};

}  // namespace hearth
