#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "faas/worker_report.h"

namespace hearth::ctrl {

// The workers of a fleet, as their heartbeats tell; in memory alone, since the next heartbeat
// brings back what a restart forgets. Pure but for the time that it is given. One thread.
class worker_registry {
public:
    static constexpr milliseconds heartbeat_interval_default{10'000};
    static constexpr std::int64_t missed_max = 3;  // heartbeats in a row; then it is dead
    // The dead stay listed for so long, for whoever asks what became of them.
    static constexpr seconds forgotten_after{600};
    static constexpr std::size_t workers_max = 10'000;  // more: errc::limit_exceeded

    struct entry {
        faas::worker_report report;
        epoch_ms first_seen = 0;  // by this controller
        epoch_ms last_seen = 0;
        steady_time last_heard;  // what decides whether it lives
        bool live = true;
    };
    struct totals {
        std::int64_t live = 0;
        std::int64_t draining = 0;  // of the live
        std::int64_t dead = 0;
        std::int64_t sandboxes_max = 0;  // of the live that are not draining
        std::int64_t sandboxes_busy = 0;
    };

    // `interval` is what workers are told to keep.
    explicit worker_registry(milliseconds interval = heartbeat_interval_default)
        : interval_(interval) {}
    [[nodiscard]] milliseconds interval() const noexcept { return interval_; }
    [[nodiscard]] milliseconds dead_after() const noexcept { return interval_ * missed_max; }

    // `shown` is the same moment by the wall clock, for people: it may jump, and a jump must not
    // kill a fleet.
    [[nodiscard]] result<> heard(faas::worker_report report, steady_time now, epoch_ms shown);
    // It said that it leaves. Nothing when it is not known.
    void left(std::string_view id, steady_time now);
    // By id.
    [[nodiscard]] std::vector<entry> list(steady_time now);
    [[nodiscard]] totals count(steady_time now);
    // Of the live, and of those that left within dead_after(): for other controllers, which may
    // have heard of these before.
    [[nodiscard]] std::vector<faas::worker_sighting> sightings(steady_time now);

private:
    void refresh(steady_time now);

    milliseconds interval_;
    std::map<std::string, entry, std::less<>> workers_;
    std::map<std::string, steady_time, std::less<>> left_;  // when they said goodbye
};

}  // namespace hearth::ctrl
