#pragma once

#include <functional>
#include <optional>

#include "aws/auto_scaling.h"
#include "aws/host_life.h"
#include "aws/metadata.h"
#include "fleet_services.h"

namespace hearth {

// The host of a worker, where it is an EC2 instance: begins the drain when the instance is to end,
// and lets it go after (docs/fleet.md, "Workers on EC2"). Ring thread only.
class ec2_host {
public:
    // `services` and `options` outlive it. `drain` is called on the ring's thread, perhaps twice.
    ec2_host(fleet_services& services, const fleet_options& options, std::function<void()> drain);

    // Until stopped; ends by itself elsewhere than on EC2.
    task<void> watch() { return life_.run(); }
    // Until when a drain that begins now may last: `grace`, or less where the host ends before.
    [[nodiscard]] deadline drain_until(seconds grace) const;
    // When the drain is over and before watch() is stopped: its Auto Scaling group need wait no
    // longer.
    task<void> let_go();

private:
    aws::metadata about_;
    aws::client api_;
    aws::auto_scaling group_;
    std::optional<epoch_ms> end_at_;
    aws::host_life life_;
};

}  // namespace hearth
