#include "bench/load/workload.h"

#include <algorithm>
#include <numeric>

namespace hearth::bench {

picker::picker(const workload& from, unsigned thread, unsigned threads, std::uint64_t seed)
    : from_(from), threads_(threads), next_once_(thread), turn_(thread), random_(seed + thread) {
    std::partial_sum(from.weights.begin(), from.weights.end(), std::back_inserter(cumulative_));
}

const std::string* picker::next() {
    std::uniform_real_distribution<double> share(0, 1);
    const bool wants_once =
        from_.once_share >= 1 || (from_.once_share > 0 && share(random_) < from_.once_share);
    if (wants_once && next_once_ < from_.once.size()) {
        const std::string& chosen = from_.once[next_once_];
        next_once_ += threads_;
        return &chosen;
    }
    return next_repeated();
}

const std::string* picker::next_repeated() {
    if (from_.repeated.empty()) {
        return nullptr;
    }
    if (cumulative_.empty()) {
        return &from_.repeated[turn_++ % from_.repeated.size()];
    }
    std::uniform_real_distribution<double> range(0, cumulative_.back());
    const auto found = std::ranges::upper_bound(cumulative_, range(random_));
    const auto index = static_cast<std::size_t>(found - cumulative_.begin());
    return &from_.repeated[std::min(index, from_.repeated.size() - 1)];
}

}  // namespace hearth::bench
