#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "bench/load/distribution.h"

namespace hearth::bench {

// When calls are due. Connections take the next moment in turn, so that one slow answer delays no
// other call as long as a connection is free, and where none is, the wait counts as latency: the
// moment was set before anybody knew how long answers take (no coordinated omission).
class arrivals {
public:
    enum class spacing : std::uint8_t {
        even,         // 1/rate apart
        exponential,  // independent callers: a Poisson process, as traces are modelled
    };

    // `rate` per second, above 0; the first call is due at `start`, the last before `end`.
    arrivals(spacing how, double rate, steady_time start, steady_time end, std::uint64_t seed)
        : how_(how), rate_(rate), start_(start), end_(end), random_(seed) {}

    // None when all have been taken.
    [[nodiscard]] std::optional<steady_time> next();
    [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }
    // Takes what is due and was never sent; how many that was.
    std::uint64_t drop_rest();

private:
    spacing how_;
    double rate_;
    steady_time start_;
    steady_time end_;
    random_source random_;
    std::uint64_t taken_ = 0;
    double elapsed_s_ = 0;  // of the next one, from the start
};

}  // namespace hearth::bench
