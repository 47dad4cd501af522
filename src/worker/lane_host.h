#pragma once

#include <cstdint>
#include <functional>
#include <utility>
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

// The worker's own.
class worker_lane_host final : public lane_host {
public:
    // `running` outlives it.
    worker_lane_host(const dispatcher& running, std::function<std::uint32_t()> window,
                     std::function<faas::worker_report()> report)
        : running_(running), window_(std::move(window)), report_(std::move(report)) {}

    std::uint32_t window() override { return window_(); }
    std::uint32_t idle_of(const faas::function& target) override {
        return static_cast<std::uint32_t>(running_.idle_of(target));
    }
    std::vector<idle_sandboxes> idle_by_revision() override { return running_.idle_by_revision(); }
    faas::worker_report report() override { return report_(); }

private:
    const dispatcher& running_;
    std::function<std::uint32_t()> window_;
    std::function<faas::worker_report()> report_;
};

}  // namespace hearth::worker
