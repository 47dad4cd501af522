#include "bench/load/arrivals.h"

namespace hearth::bench {

std::optional<steady_time> arrivals::next() {
    const auto offset =
        std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(elapsed_s_));
    const steady_time due = start_ + offset;
    if (due >= end_) {
        return std::nullopt;
    }
    ++taken_;
    if (how_ == spacing::even) {
        // From the count, not step by step: errors of rounding would add up.
        elapsed_s_ = static_cast<double>(taken_) / rate_;
    } else {
        elapsed_s_ += std::exponential_distribution<double>(rate_)(random_);
    }
    return due;
}

std::uint64_t arrivals::drop_rest() {
    std::uint64_t dropped = 0;
    while (next()) {
        ++dropped;
    }
    return dropped;
}

}  // namespace hearth::bench
