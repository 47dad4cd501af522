#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aws/auto_scaling.h"
#include "aws/metadata.h"
#include "coro/event.h"
#include "coro/scope.h"

namespace hearth::aws {

// Why a host ends, and when.
struct host_notice {
    enum class cause : std::uint8_t {
        spot,   // EC2 takes the instance back: two minutes, says EC2
        group,  // its Auto Scaling group ends it, and waits for the end of the drain
    };
    cause why = cause::spot;
    std::string action;              // of spot: "terminate", "stop", "hibernate"
    std::optional<epoch_ms> end_at;  // when the host goes; without one it waits for us
};

struct host_life_options {
    // AWS recommends to look for a spot notice every 5 s (docs.aws.amazon.com/AWSEC2/latest/
    // UserGuide/spot-instance-termination-notices.html).
    milliseconds look_interval{5'000};
    // Questions at that pace before it is said that this host seems to be no EC2 instance. They go
    // on, since metadata may be late or away, after pauses that double up to this: by far less than
    // an instance lives, and a packet in five minutes elsewhere.
    int first_attempts = 3;
    milliseconds search_interval_max{300'000};
};

// Problem: an EC2 instance is told of its end by its metadata alone, and if nobody listens, what
// runs on it is cut off. Solution: looks there every few seconds; says so to its listener once for
// each cause; while the drain goes on, tells the group that it does; and once it is over, that the
// host may go. Elsewhere than on EC2 it asks once in five minutes.
//
// The listener is called on the ring's thread, must not wait, and may be called a second time with
// an earlier end. Ring thread only.
class host_life {
public:
    struct statistics {
        std::uint64_t looks = 0;
        std::uint64_t failed_looks = 0;  // metadata that answers no more
        std::uint64_t heartbeats = 0;    // that the group took
    };

    // Both outlive this.
    host_life(metadata& about, auto_scaling& group,
              std::function<void(const host_notice&)> listener, host_life_options options = {});

    // Watches until stopped, or until it is clear that this host is not to be watched: metadata is
    // disabled or refuses.
    task<void> run();
    // After the drain: the group need wait no longer. Does nothing where it does not wait, also
    // when the end came from elsewhere (a signal, a spot notice). Before run() is stopped.
    task<result<>> let_go(deadline until);

    // Empty until known.
    [[nodiscard]] const std::string& instance_id() const noexcept { return instance_id_; }
    // Set when run() has found this to be an EC2 instance, or has asked in vain for a while.
    [[nodiscard]] event& known() noexcept { return known_; }
    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }

private:
    task<bool> find_instance();
    task<result<>> look_for_spot_notice();
    task<result<>> look_at_group();
    task<result<bool>> is_leaving_group(deadline until);
    task<result<>> find_hooks(deadline until);
    task<void> keep_group_waiting();
    void note(const result<>& seen);

    metadata& about_;
    auto_scaling& group_;
    std::function<void(const host_notice&)> listener_;
    host_life_options options_;
    std::string instance_id_;
    event known_;
    bool is_spot_ = false;
    bool spot_told_ = false;
    bool group_told_ = false;
    bool failing_ = false;
    bool let_go_ = false;
    std::vector<auto_scaling::lifecycle_hook> hooks_;
    statistics counts_;
};

}  // namespace hearth::aws
