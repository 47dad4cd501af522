#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faas/worker_report.h"
#include "redis/client.h"

namespace hearth::redis {

struct worker_census_settings {
    std::string prefix = "hearth:";  // of every key
    // A worker that no controller has heard of for so long is none.
    milliseconds lifetime{30'000};
};

// How many workers take jobs. A controller hears only those whose heartbeats come to it; here each
// tells what it has heard, and all read the same number. Ages are told, not moments, so that the
// controllers' clocks need not agree. docs/protocol.md, "Redis". Ring thread only.
class worker_census {
public:
    // `server` outlives it.
    worker_census(client& server, worker_census_settings settings);

    // Tells `heard`, answers the number of workers of all controllers that take jobs.
    task<result<std::int64_t>> exchange(const std::vector<faas::worker_sighting>& heard,
                                        deadline until);

private:
    client& server_;
    worker_census_settings settings_;
};

}  // namespace hearth::redis
