#include "bench/load/server_metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/concat.h"

namespace hearth::bench {
namespace {

std::optional<double> read_number(std::string_view text) {
    if (text == "+Inf") {
        return std::numeric_limits<double>::infinity();
    }
    double value = 0;
    const auto done = std::from_chars(text.data(), text.data() + text.size(), value);
    return done.ec == std::errc() ? std::optional(value) : std::nullopt;
}

// Of `le="0.005",route="/run"`.
std::optional<double> upper_bound_of(std::string_view labels) {
    constexpr std::string_view key = "le=\"";
    const std::size_t at = labels.find(key);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    labels.remove_prefix(at + key.size());
    return read_number(labels.substr(0, labels.find('"')));
}

}  // namespace

server_metrics::server_metrics(std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t name_end = line.find_first_of("{ ");
        // A label's value may hold blanks, the number behind it does not.
        const std::size_t blank = line.rfind(' ');
        if (line.empty() || line.starts_with('#') || name_end == std::string_view::npos) {
            continue;
        }
        if (const auto value = read_number(line.substr(blank + 1))) {
            series_.emplace(line.substr(0, name_end),
                            series{.labels = std::string(line.substr(name_end, blank - name_end)),
                                   .value = *value});
        }
    }
}

double server_metrics::value(std::string_view name, std::string_view label) const {
    double sum = 0;
    const auto [first, last] = series_.equal_range(name);
    for (auto each = first; each != last; ++each) {
        sum += each->second.labels.contains(label) ? each->second.value : 0;
    }
    return sum;
}

stage server_metrics::histogram(std::string_view name, std::string_view label) const {
    stage made{.count = value(concat(name, "_count"), label),
               .sum_s = value(concat(name, "_sum"), label),
               .up_to = {}};
    const auto [first, last] = series_.equal_range(concat(name, "_bucket"));
    for (auto each = first; each != last; ++each) {
        const auto bound = upper_bound_of(each->second.labels);
        if (bound && each->second.labels.contains(label)) {
            made.up_to[*bound] += each->second.value;
        }
    }
    return made;
}

double stage::at_share(double share) const {
    const double wanted = share * count;
    double below = 0;
    double lower = 0;
    for (const auto& [bound, up_to_bound] : up_to) {
        if (up_to_bound >= wanted && up_to_bound > below) {
            return std::isinf(bound)
                       ? lower
                       : lower + (bound - lower) * (wanted - below) / (up_to_bound - below);
        }
        below = up_to_bound;
        lower = bound;
    }
    return 0;
}

stage difference(const stage& later, const stage& earlier) {
    stage made = later;
    made.count -= earlier.count;
    made.sum_s -= earlier.sum_s;
    for (auto& [bound, up_to_bound] : made.up_to) {
        const auto before = earlier.up_to.find(bound);
        up_to_bound -= before == earlier.up_to.end() ? 0 : before->second;
    }
    return made;
}

}  // namespace hearth::bench
