#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::bench {

using random_source = std::mt19937_64;

// A measured distribution as lines of "value,cumulative share", from which values are drawn: the
// form in which ServerlessBench publishes what was measured on Azure Functions
// (github.com/SJTU-IPADS/ServerlessBench, Testcase11).
class distribution {
public:
    static constexpr std::size_t points_max = 1'000'000;

    // Values and shares must not fall, shares lie in 0 to 1. Where the last share is below 1, the
    // last value stands for what was cut off. Errors name the line.
    [[nodiscard]] static result<distribution> parse(std::string_view text);
    [[nodiscard]] static result<distribution> read(const std::string& path);

    // The smallest value whose cumulative share is at least `share`.
    [[nodiscard]] double at_share(double share) const noexcept;
    [[nodiscard]] double draw(random_source& random) const;
    [[nodiscard]] std::size_t size() const noexcept { return points_.size(); }

private:
    struct point {
        double value = 0;
        double share = 0;
    };
    std::vector<point> points_;
};

// What a folder of traces holds, by the names that ServerlessBench gives its files.
struct traces {
    distribution execution_ms;    // serverlessbench-execTimeCDF.csv
    distribution calls_of_a_day;  // serverlessbench-invokesCDF.csv, of one function
    [[nodiscard]] static result<traces> read(const std::string& folder);
};

}  // namespace hearth::bench
