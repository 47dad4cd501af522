#pragma once

#include <memory>

#include "ctrl/lane_hub.h"
#include "ctrl/lane_invoker.h"
#include "worker/lane_client.h"
#include "worker/worker.h"

namespace hearth {

// The lane of `hearth dev` to itself, over a pair of streams in memory: controller and worker speak
// there as they do in a fleet. How many calls wait is for the worker's own queues to say, so that
// it has all the credits that a lane can have; what they refuse, the caller is refused with the
// worker's reason. Calls that find no credit, and functions whose definition no lane takes, go to
// the worker directly. Home ring only.
class local_lane {
public:
    // Both outlive it.
    local_lane(worker::worker& running, thread_pool& lookups);
    ~local_lane();

    // Returns when calls go over the lane.
    task<result<>> open();
    // Once no call is on its way.
    task<void> finish();

    [[nodiscard]] faas::invoker& invoker() noexcept { return over_lane_; }
    [[nodiscard]] ctrl::lane_hub& hub() noexcept { return hub_; }
    [[nodiscard]] const ctrl::lane_invoker_statistics& statistics() const noexcept {
        return over_lane_.statistics();
    }

private:
    local_lane(worker::worker& running, thread_pool& lookups, const std::string& token);
    task<void> serve(std::unique_ptr<net::stream> end);

    worker::worker_lane_host host_;
    ctrl::lane_hub hub_;
    ctrl::lane_invoker over_lane_;
    worker::lane_client client_;
    event greeted_;
    scope serving_;
};

}  // namespace hearth
