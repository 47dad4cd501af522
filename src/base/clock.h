#pragma once

#include <chrono>
#include <cstdint>
#include <string>

// Time. Deadlines are absolute points on the monotonic clock and part of every I/O signature;
// wall-clock time is only for what people and other machines read.

namespace hearth {

using steady_clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
using steady_time = steady_clock::time_point;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// An absolute point in time after which an operation is given up. `never` compares latest.
using deadline = steady_time;
inline constexpr deadline never = deadline::max();

[[nodiscard]] inline deadline after(nanoseconds duration) {
    return steady_clock::now() + duration;
}

// Milliseconds since the Unix epoch.
using epoch_ms = std::int64_t;
[[nodiscard]] epoch_ms wall_clock_ms() noexcept;

// "2026-01-31T23:59:59.123Z", always UTC with milliseconds.
[[nodiscard]] std::string format_rfc3339(epoch_ms time);

}  // namespace hearth
