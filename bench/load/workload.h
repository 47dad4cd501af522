#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/distribution.h"

namespace hearth::bench {

// What is sent: complete requests, made before the clock runs.
struct workload {
    std::vector<std::string> repeated;  // sent again and again
    std::vector<double> weights;        // how often each of them is, or empty: all alike
    std::vector<std::string> once;      // each is sent once at most: first calls of functions
    double once_share = 0;              // of calls that take one of `once`
    // Part of every good answer's first bytes; empty: the status alone counts.
    std::string success;
};

// The order in which one thread of several sends them. Each of `once` belongs to one thread.
class picker {
public:
    // `from` outlives it.
    picker(const workload& from, unsigned thread, unsigned threads, std::uint64_t seed);

    // The next request; null when there is nothing left to send.
    [[nodiscard]] const std::string* next();

private:
    [[nodiscard]] const std::string* next_repeated();

    const workload& from_;
    unsigned threads_;
    std::size_t next_once_;
    std::size_t turn_ = 0;
    random_source random_;
    std::vector<double> cumulative_;
};

}  // namespace hearth::bench
