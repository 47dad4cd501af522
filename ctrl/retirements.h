#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"

namespace hearth::ctrl {

// Functions that were updated or deleted of late, for the workers, whose sandboxes of older
// revisions may end then. Told with the answer to each heartbeat, for as long as every live worker
// surely sends one. A worker that misses it all the same finds the newer revision with the
// function's next job, or ends the sandboxes when they were idle for long: older ones are never
// called again, since each job looks its function up. One thread.
class retirements {
public:
    // The oldest is forgotten beyond it.
    static constexpr std::size_t kept_max = 500;

    // `kept_for`: several intervals between heartbeats.
    explicit retirements(milliseconds kept_for) : kept_for_(kept_for) {}

    // `current_revision` 0: deleted.
    void add(std::string_view function_id, std::int64_t current_revision, steady_time now);
    // As the member "retired" of a heartbeat's answer (docs/protocol.md).
    void write(json::writer& out, steady_time now);

private:
    struct entry {
        std::string function_id;
        std::int64_t current_revision = 0;
        steady_time at{};
    };
    milliseconds kept_for_;
    std::deque<entry> entries_;  // oldest first
};

}  // namespace hearth::ctrl
