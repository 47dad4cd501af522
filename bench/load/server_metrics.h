#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::bench {

// What a histogram of Prometheus' text format holds, summed over the series that were asked for.
struct stage {
    double count = 0;
    double sum_s = 0;
    std::map<double, double> up_to;  // upper bound in seconds, how many are not above it

    [[nodiscard]] double mean_s() const { return count > 0 ? sum_s / count : 0; }
    // Assumes that values are spread evenly within a bucket; the last finite bound where they lie
    // above all of them. 0 while empty.
    [[nodiscard]] double at_share(double share) const;
};

// One reading of the server's /metrics. Lines that are not understood are passed over: the format
// may grow.
class server_metrics {
public:
    explicit server_metrics(std::string_view text);

    // The sum of all series called `name` whose labels contain `label`.
    [[nodiscard]] double value(std::string_view name, std::string_view label = {}) const;
    [[nodiscard]] stage histogram(std::string_view name, std::string_view label = {}) const;

private:
    struct series {
        std::string labels;
        double value = 0;
    };
    std::multimap<std::string, series, std::less<>> series_;
};

// What was added between two readings.
[[nodiscard]] stage difference(const stage& later, const stage& earlier);

}  // namespace hearth::bench
