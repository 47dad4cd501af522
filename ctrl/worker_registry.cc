#include "ctrl/worker_registry.h"

#include <algorithm>
#include <iterator>

#include "base/concat.h"
#include "base/log.h"

namespace hearth::ctrl {

result<> worker_registry::heard(faas::worker_report report, steady_time now, epoch_ms shown) {
    refresh(now);
    auto known = workers_.find(report.id);
    if (known == workers_.end()) {
        if (workers_.size() >= workers_max) {
            return fail(errc::limit_exceeded,
                        concat("This controller knows ", workers_max, " workers already."));
        }
        log::info("a worker joined", {{"worker", report.id}, {"host", report.host}});
        known = workers_.emplace(report.id, entry{.first_seen = shown}).first;
    } else if (!known->second.live) {
        log::info("a worker is back", {{"worker", report.id}, {"host", report.host}});
    }
    known->second.live = true;
    known->second.last_seen = shown;
    known->second.last_heard = now;
    known->second.report = std::move(report);
    return {};
}

void worker_registry::left(std::string_view id, steady_time now) {
    refresh(now);
    if (const auto known = workers_.find(id); known != workers_.end()) {
        log::info("a worker left", {{"worker", id}});
        left_.insert_or_assign(known->first, now);
        workers_.erase(known);
    }
}

std::vector<worker_registry::entry> worker_registry::list(steady_time now) {
    refresh(now);
    std::vector<entry> all;
    all.reserve(workers_.size());
    for (const auto& [id, each] : workers_) {
        all.push_back(each);
    }
    return all;
}

worker_registry::totals worker_registry::count(steady_time now) {
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

std::vector<faas::worker_sighting> worker_registry::sightings(steady_time now) {
    refresh(now);
    std::vector<faas::worker_sighting> all;
    all.reserve(workers_.size() + left_.size());
    const auto since = [now](steady_time moment) {
        return std::max(std::chrono::duration_cast<milliseconds>(now - moment), milliseconds(0));
    };
    for (const auto& [id, each] : workers_) {
        if (each.live) {
            all.push_back(
                {.id = id, .ago = since(each.last_heard), .leaving = each.report.draining});
        }
    }
    for (const auto& [id, moment] : left_) {
        all.push_back({.id = id, .ago = since(moment), .leaving = true});
    }
    return all;
}

void worker_registry::refresh(steady_time now) {
    std::erase_if(left_, [&](const auto& each) { return now - each.second >= dead_after(); });
    for (auto each = workers_.begin(); each != workers_.end();) {
        auto& [id, worker] = *each;
        const auto silent = std::chrono::duration_cast<milliseconds>(now - worker.last_heard);
        if (worker.live && silent >= dead_after()) {
            worker.live = false;
            log::warning(
                "a worker is silent and counts as dead",
                {{"worker", id}, {"host", worker.report.host}, {"silentMs", silent.count()}});
        }
        each = silent >= forgotten_after ? workers_.erase(each) : std::next(each);
    }
}

}  // namespace hearth::ctrl
