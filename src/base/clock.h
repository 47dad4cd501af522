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

// A limit that is none; never passes, and costs no look at the clock. For within() alone, since
// after() would overflow.
inline constexpr milliseconds unlimited = milliseconds::max();
[[nodiscard]] inline deadline within(milliseconds limit) {
    return limit == unlimited ? never : after(limit);
}

// Milliseconds since the Unix epoch.
using epoch_ms = std::int64_t;
[[nodiscard]] epoch_ms wall_clock_ms() noexcept;

// "2026-01-31T23:59:59.123Z", always UTC with milliseconds.
[[nodiscard]] std::string format_rfc3339(epoch_ms time);

}  // namespace hearth
