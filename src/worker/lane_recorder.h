#pragma once

#include <cstddef>
#include <cstdint>

#include "coro/event.h"
#include "faas/ports.h"

namespace hearth::worker {

struct lane_recorder_options {
    // That one outcome is tried for; a log that is away for longer has lost it.
    milliseconds patience{60'000};
    // Of one try. A worker that ends waits for the one under way, for a last one, and for the
    // announcement: together less than it has beside its grace (src/bin/worker_server.cc).
    milliseconds try_wait{4'000};
    milliseconds announce_wait{1'000};
    // Between tries; doubled with each.
    milliseconds pause_base{200};
    milliseconds pause_max{5'000};
    // Outcomes on their way at once, and bytes of their texts. More are given up.
    std::size_t records_max = 1'024;
    std::size_t bytes_max = 64u << 20;
};

struct lane_recorder_statistics {
    std::uint64_t recorded = 0;  // outcomes that stand in the log through this object
    std::uint64_t known = 0;     // that somebody had recorded before
    std::uint64_t lost = 0;      // that could not be recorded
};

// Records outcomes of calls whose lane was lost while they ran.
//
// Problem: the controller records what comes over a lane. When it dies, or ends before the call
// does, nobody would, and the status of a call whose caller was told to ask for it would be RUNNING
// for ever. Solution: the worker does, through the same log. The first outcome stands there, so
// that it does not matter whether the controller lives and has recorded the call as lost. Ring
// thread only.
class lane_recorder {
public:
    // Both outlive it.
    lane_recorder(faas::invocation_log& log, faas::result_bus& results,
                  lane_recorder_options options = {})
        : log_(log), results_(results), options_(options) {}

    // Until it stands, or is given up with a line in the log. `what` is final.
    task<void> record(faas::invocation_record what);
    // The worker ends: one more try for each.
    void hurry() { hurried_.set(); }

    [[nodiscard]] const lane_recorder_statistics& statistics() const noexcept {
        return statistics_;
    }

private:
    task<result<bool>> try_until(const faas::invocation_record& what);
    task<void> announce(const faas::invocation_record& what);

    faas::invocation_log& log_;
    faas::result_bus& results_;
    lane_recorder_options options_;
    std::size_t records_ = 0;
    std::size_t bytes_ = 0;
    event hurried_;
    lane_recorder_statistics statistics_;
};

}  // namespace hearth::worker
