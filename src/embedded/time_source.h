#pragma once

#include <functional>

#include "base/clock.h"

namespace hearth::embedded {

// Where the embedded parts read the time from; tests give their own.
using time_source = std::function<epoch_ms()>;

// Wall-clock time that does not jump: read once, moved on by the monotonic clock. Visibility
// timeouts are stored as such times, and a clock that is set back while jobs are out would hide
// them for as long as it went back.
[[nodiscard]] inline time_source steady_wall_clock() {
    return [wall = wall_clock_ms(), start = steady_clock::now()] {
        return wall + std::chrono::duration_cast<milliseconds>(steady_clock::now() - start).count();
    };
}

}  // namespace hearth::embedded
