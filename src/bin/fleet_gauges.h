#pragma once

#include <cstdint>

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "ctrl/lane_hub.h"
#include "ctrl/lane_invoker.h"
#include "ctrl/queued_invoker.h"
#include "ctrl/worker_registry.h"
#include "faas/ports.h"
#include "worker/dead_letters.h"
#include "worker/heartbeat.h"
#include "worker/lane_recorder.h"

namespace hearth {

// What a fleet is scaled by: jobs that wait, for each worker that can take them.
struct backlog {
    faas::job_queue::depth depth;
    std::int64_t workers = 0;  // live and not draining
    double per_instance = 0;   // of the visible; without any worker as if there were one
};
[[nodiscard]] backlog measure_backlog(const faas::job_queue::depth& depth,
                                      const ctrl::worker_registry::totals& workers);

// Gauges of the fleet's own parts, read off them when /metrics is asked for (docs/operations.md).
class fleet_gauges {
public:
    explicit fleet_gauges(prometheus::Registry& registry) : registry_(registry) {}

    void set_workers(const ctrl::worker_registry::totals& sum);
    void set_backlog(const backlog& now);
    void set_queued(const ctrl::queued_invoker_statistics& calls);
    void set_lanes(ctrl::lane_hub& lanes, const ctrl::lane_invoker_statistics& calls);
    void set_dead_letters(const worker::dead_letter_statistics& counts);
    void set_rate_limit(std::uint64_t passed_unasked);
    void set_heartbeats(const worker::heartbeat::statistics& counts);
    void set_lane_records(const worker::lane_recorder_statistics& counts);

private:
    void set(const char* name, const char* help, double value,
             const prometheus::Labels& labels = {});

    prometheus::Registry& registry_;
};

}  // namespace hearth
