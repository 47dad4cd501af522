#pragma once

#include <cstdint>
#include <optional>

#include "ctrl/worker_registry.h"
#include "faas/ports.h"
#include "redis/worker_census.h"

namespace hearth {

// Jobs that the queue holds, those that run included, for each worker that takes jobs; without any
// worker as if there were one. What runs counts: a fleet that keeps up has nothing that waits,
// whether half of its places are taken or all (docs/scaling.md, "Following the backlog").
[[nodiscard]] double backlog_per_instance(const faas::job_queue::depth& depth,
                                          std::int64_t workers);

// What a fleet is scaled by. Every controller measures the same, since each tells the others over
// Redis which workers it has heard. Ring thread only.
class backlog_meter {
public:
    struct reading {
        result<faas::job_queue::depth> depth;
        result<std::int64_t> workers;  // of all controllers, live and not draining
    };

    // All outlive it.
    backlog_meter(faas::job_queue& queue, ctrl::worker_registry& heard,
                  redis::worker_census& census)
        : queue_(queue), heard_(heard), census_(census) {}

    // Tells the others at every interval of heartbeats, until stopped.
    task<void> run();
    [[nodiscard]] task<reading> read(deadline until);
    // errc::unavailable and others when either number is not to be had.
    [[nodiscard]] task<result<double>> per_instance(deadline until);

    // Since the last reading of the queue that succeeded; nothing before the first.
    [[nodiscard]] std::optional<milliseconds> age() const;

private:
    task<result<std::int64_t>> count_workers(deadline until);

    faas::job_queue& queue_;
    ctrl::worker_registry& heard_;
    redis::worker_census& census_;
    std::optional<steady_time> read_at_;
    bool failing_ = false;
};

}  // namespace hearth
