#pragma once

#include <cstdint>
#include <vector>

#include "faas/worker_report.h"
#include "worker/dispatcher.h"

namespace hearth::worker {

// What the lane tells the controller of this worker. Ring thread only.
class lane_host {
public:
    virtual ~lane_host() = default;
    // Invocations that may run at once over the lane: the slots that nothing else has taken.
    virtual std::uint32_t window() = 0;
    virtual std::uint32_t idle_of(const faas::function& target) = 0;
    virtual std::vector<idle_sandboxes> idle_by_revision() = 0;
    virtual faas::worker_report report() = 0;
};

}  // namespace hearth::worker
