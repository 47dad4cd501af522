#include "ctrl/worker_registry.h"

#include <algorithm>
#include <iterator>

#include "base/concat.h"
#include "base/log.h"

namespace hearth::ctrl {
namespace {

constexpr epoch_ms in_ms(seconds time) {
    return std::chrono::duration_cast<milliseconds>(time).count();
}

}  // namespace

result<> worker_registry::heard(faas::worker_report report, epoch_ms now) {
    refresh(now);
    auto known = workers_.find(report.id);
    if (known == workers_.end()) {
        if (workers_.size() >= workers_max) {
            return fail(errc::limit_exceeded,
                        concat("This controller knows ", workers_max, " workers already."));
        }
        log::info("a worker joined", {{"worker", report.id}, {"host", report.host}});
        known = workers_.emplace(report.id, entry{.first_seen = now}).first;
    } else if (!known->second.live) {
        log::info("a worker is back", {{"worker", report.id}, {"host", report.host}});
    }
    known->second.live = true;
    known->second.last_seen = now;
    known->second.report = std::move(report);
    return {};
}

void worker_registry::left(std::string_view id, epoch_ms now) {
    refresh(now);
    if (const auto known = workers_.find(id); known != workers_.end()) {
        log::info("a worker left", {{"worker", id}});
        left_.insert_or_assign(known->first, now);
        workers_.erase(known);
    }
}

std::vector<worker_registry::entry> worker_registry::list(epoch_ms now) {
    refresh(now);
    std::vector<entry> all;
    all.reserve(workers_.size());
    for (const auto& [id, each] : workers_) {
        all.push_back(each);
    }
    return all;
}

worker_registry::totals worker_registry::count(epoch_ms now) {
    refresh(now);
    totals sum;
    for (const auto& [id, each] : workers_) {
        if (!each.live) {
            ++sum.dead;
            continue;
        }
        ++sum.live;
        sum.sandboxes_busy += each.report.sandboxes_busy;
        if (each.report.draining) {
            ++sum.draining;
        } else {
            sum.sandboxes_max += each.report.sandboxes_max;
        }
    }
    return sum;
}

std::vector<faas::worker_sighting> worker_registry::sightings(epoch_ms now) {
    refresh(now);
    std::vector<faas::worker_sighting> all;
    all.reserve(workers_.size() + left_.size());
    const auto since = [now](epoch_ms moment) {
        return milliseconds(std::max<epoch_ms>(now - moment, 0));
    };
    for (const auto& [id, each] : workers_) {
        if (each.live) {
            all.push_back(
                {.id = id, .ago = since(each.last_seen), .leaving = each.report.draining});
        }
    }
    for (const auto& [id, moment] : left_) {
        all.push_back({.id = id, .ago = since(moment), .leaving = true});
    }
    return all;
}

void worker_registry::refresh(epoch_ms now) {
    std::erase_if(left_,
                  [&](const auto& each) { return now - each.second >= dead_after().count(); });
    for (auto each = workers_.begin(); each != workers_.end();) {
        auto& [id, worker] = *each;
        const epoch_ms silent = now - worker.last_seen;
        if (worker.live && silent >= dead_after().count()) {
            worker.live = false;
            log::warning("a worker is silent and counts as dead",
                         {{"worker", id}, {"host", worker.report.host}, {"silentMs", silent}});
        }
        each = silent >= in_ms(forgotten_after) ? workers_.erase(each) : std::next(each);
    }
}

}  // namespace hearth::ctrl
