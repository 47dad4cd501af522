#include "worker/violations.h"

#include <algorithm>

#include "base/log.h"

namespace hearth::worker {

std::string_view to_string(violation kind) noexcept {
    switch (kind) {
        case violation::protocol:
            return "protocol";
        case violation::policy:
            return "policy";
        case violation::out_of_memory:
            return "out_of_memory";
        case violation::pids_limit:
            return "pids_limit";
        case violation::strays:
            return "strays";
        case violation::output_flood:
            return "output_flood";
    }
    return "?";
}

void violations::report(violation kind, const faas::function& by, std::string_view request_id,
                        std::string_view details, steady_time now) {
    count_(kind);
    bucket& allowance = bucket_of(by.id, now);
    fill(allowance, now);
    if (allowance.left == 0) {
        ++allowance.suppressed;
        return;
    }
    --allowance.left;
    log::warning("sandbox violation", {{"kind", to_string(kind)},
                                       {"functionId", by.id},
                                       {"functionName", by.name},
                                       {"revision", by.revision},
                                       {"requestId", request_id},
                                       {"details", details},
                                       {"suppressed", allowance.suppressed}});
    allowance.suppressed = 0;
}

// A full bucket with nothing left out says what a fresh one would.
violations::bucket& violations::bucket_of(const std::string& function_id, steady_time now) {
    if (const auto found = buckets_.find(function_id); found != buckets_.end()) {
        return found->second;
    }
    if (buckets_.size() >= functions_max) {
        std::erase_if(buckets_, [now](const auto& entry) {
            bucket later = entry.second;
            fill(later, now);
            return later.left == burst && later.suppressed == 0;
        });
    }
    if (buckets_.size() >= functions_max) {
        return others_;
    }
    return buckets_.emplace(function_id, bucket{.filled_at = now}).first->second;
}

void violations::fill(bucket& which, steady_time now) {
    const auto steps = (now - which.filled_at) / refill;
    if (steps > 0) {
        which.left = static_cast<std::uint32_t>(
            std::min<std::int64_t>(which.left + steps, std::int64_t{burst}));
        which.filled_at += steps * refill;
    }
}

}  // namespace hearth::worker
