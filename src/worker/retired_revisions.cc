#include "worker/retired_revisions.h"

#include <algorithm>
#include <limits>

namespace hearth::worker {

void retired_revisions::add(std::string_view function_id, std::int64_t current_revision) {
    const std::int64_t current =
        current_revision == 0 ? std::numeric_limits<std::int64_t>::max() : current_revision;
    if (const auto known = current_.find(function_id); known != current_.end()) {
        // Two updates may be announced in the wrong order.
        known->second = std::max(known->second, current);
        return;
    }
    current_.emplace(function_id, current);
    by_age_.emplace_back(function_id);
    if (by_age_.size() > functions_max) {
        current_.erase(by_age_.front());
        by_age_.pop_front();
    }
}

bool retired_revisions::contains(std::string_view function_id, std::int64_t revision) const {
    const auto known = current_.find(function_id);
    return known != current_.end() && revision < known->second;
}

}  // namespace hearth::worker
