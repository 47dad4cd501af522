#include "worker/eviction.h"

#include <algorithm>

namespace hearth::worker {

double greedy_dual::priority_of(const worth& of) const noexcept {
    const auto size = static_cast<double>(std::max<std::int64_t>(of.size_mb, 1));
    return clock_ + static_cast<double>(of.calls) * of.start_ms / size;
}

void greedy_dual::evicted(double priority) noexcept {
    clock_ = std::max(clock_, priority);
}

}  // namespace hearth::worker
