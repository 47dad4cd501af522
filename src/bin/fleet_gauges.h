#pragma once

#include <cstdint>
#include <optional>

#include "backlog_meter.h"
#include "base/gauges.h"
#include "ctrl/code_sweep.h"
#include "ctrl/queued_invoker.h"
#include "ctrl/worker_registry.h"
#include "faas/ports.h"
#include "redis/rate_limiter.h"
#include "worker/dead_letters.h"
#include "worker/heartbeat.h"
#include "worker/lane_recorder.h"

namespace hearth {

// Gauges of the fleet's own parts, read off them when /metrics is asked for (docs/operations.md).
class fleet_gauges : gauges {
public:
    explicit fleet_gauges(prometheus::Registry& registry) : gauges(registry) {}

    void set_workers(const ctrl::worker_registry::totals& sum);
    // What could not be read is NaN, never what it was before. `age`: of the last depth.
    void set_backlog(const backlog_meter::reading& now, std::optional<milliseconds> age);
    void set_code_sweep(const ctrl::code_sweep::statistics& counts);
    void set_queued(const ctrl::queued_invoker_statistics& calls);
    void set_dead_letters(const worker::dead_letter_statistics& counts);
    void set_rate_limit(const redis::rate_limiter& limiter);
    void set_heartbeats(const worker::heartbeat::statistics& counts);
    void set_lane_records(const worker::lane_recorder_statistics& counts);
};

}  // namespace hearth
