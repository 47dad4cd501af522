#include "ctrl/lane_scheduler.h"

#include <algorithm>

namespace hearth::ctrl {
namespace {

constexpr std::size_t sweep_at_min = 1'024;  // functions that are remembered without a look

// Whether `a` has less of its credits taken than `b`.
bool less_loaded(const lane_scheduler::lane& a, const lane_scheduler::lane& b) {
    return std::uint64_t{a.outstanding()} * b.window() <
           std::uint64_t{b.outstanding()} * a.window();
}

}  // namespace

// The calls of one function.
class lane_scheduler::line : public list_hook<line> {
public:
    struct idle_at {
        lane* where;
        std::int64_t revision;
        std::uint32_t idle;
    };

    explicit line(std::string_view function_id) : id(function_id) {}

    std::string id;
    intrusive_list<call> waiting;
    std::size_t waiting_count = 0;
    std::size_t running = 0;
    std::vector<idle_at> warm;
    steady_time last_called;
    std::list<line*>::iterator recent;
};

lane_scheduler::lane_scheduler(lane_scheduler_options options)
    : options_(options), sweep_at_(sweep_at_min) {}

lane_scheduler::~lane_scheduler() = default;

template <class Change>
void lane_scheduler::change(lane& which, Change how) {
    free_total_ -= which.free();
    window_total_ -= which.window_;
    how(which);
    free_total_ += which.free();
    window_total_ += which.window_;
}

void lane_scheduler::add(lane& which) {
    lanes_.push_back(&which);
}

void lane_scheduler::remove(lane& which) {
    change(which, [](lane& gone) { gone.window_ = 0; });
    std::erase(lanes_, &which);
    for (auto& [id, each] : lines_) {
        std::erase_if(each->warm, [&](const auto& entry) { return entry.where == &which; });
        each->waiting.for_each([&](call& one) { std::erase(one.refused_by_, &which); });
    }
}

void lane_scheduler::set_window(lane& which, std::uint32_t window) {
    change(which, [window](lane& changed) { changed.window_ = window; });
}

void lane_scheduler::set_warm(lane& which, std::string_view function_id, std::int64_t revision,
                              std::uint32_t idle) {
    auto found = lines_.find(function_id);
    if (found == lines_.end()) {
        if (idle == 0) {
            return;
        }
        found = lines_.emplace(function_id, std::make_unique<line>(function_id)).first;
        found->second->recent = recent_.insert(recent_.end(), found->second.get());
    }
    set_warm(*found->second, which, revision, idle);
}

void lane_scheduler::set_warm(lane& which, const call& ended, std::uint32_t idle) {
    set_warm(*ended.line_, which, ended.revision_, idle);
}

void lane_scheduler::set_warm(line& of, lane& which, std::int64_t revision, std::uint32_t idle) {
    auto& warm = of.warm;
    const auto entry = std::ranges::find_if(
        warm, [&](const auto& each) { return each.where == &which && each.revision == revision; });
    if (entry == warm.end()) {
        if (idle > 0) {
            warm.push_back({.where = &which, .revision = revision, .idle = idle});
        }
    } else if (idle == 0) {
        *entry = warm.back();
        warm.pop_back();
    } else {
        entry->idle = idle;
    }
}

void lane_scheduler::retire(std::string_view function_id, std::int64_t current_revision) {
    if (const auto found = lines_.find(function_id); found != lines_.end()) {
        std::erase_if(found->second->warm, [current_revision](const auto& entry) {
            return current_revision == 0 || entry.revision < current_revision;
        });
    }
}

lane_scheduler::line& lane_scheduler::line_of(std::string_view function_id, steady_time now) {
    if (const auto found = lines_.find(function_id); found != lines_.end()) {
        return *found->second;
    }
    if (lines_.size() >= sweep_at_) {
        sweep(now);
    }
    auto made = std::make_unique<line>(function_id);
    line& fresh = *made;
    fresh.recent = recent_.insert(recent_.begin(), &fresh);
    lines_.emplace(function_id, std::move(made));
    return fresh;
}

// Forgets functions that nothing is known of but that they were called long ago.
void lane_scheduler::sweep(steady_time now) {
    std::erase_if(lines_, [&](const auto& entry) {
        line& each = *entry.second;
        if (each.waiting_count + each.running > 0 || !each.warm.empty() ||
            now - each.last_called < use_remembered) {
            return false;
        }
        recent_.erase(each.recent);
        return true;
    });
    sweep_at_ = std::max(sweep_at_min, 2 * lines_.size());
}

void lane_scheduler::touch(line& which, steady_time now) {
    which.last_called = now;
    recent_.splice(recent_.begin(), recent_, which.recent);
}

bool lane_scheduler::has_lane_for(const call& which) const {
    return std::ranges::any_of(lanes_, [&](const lane* each) {
        return each->window_ > 0 &&
               std::ranges::find(which.refused_by_, each) == which.refused_by_.end();
    });
}

bool lane_scheduler::enqueue(call& which, steady_time now) {
    line& into = line_of(which.function_id_, now);
    touch(into, now);
    if (into.waiting_count >= options_.function_queue_max || waiting_ >= options_.queue_max) {
        return false;
    }
    which.line_ = &into;
    into.waiting.push_back(which);
    if (into.waiting_count++ == 0) {
        ready_.push_back(into);
    }
    ++waiting_;
    return true;
}

void lane_scheduler::withdraw(call& which) {
    which.unlink();
    --waiting_;
    if (--which.line_->waiting_count == 0) {
        which.line_->unlink();
    }
}

bool lane_scheduler::others_in_use(const line& which, steady_time now) const {
    const auto other =
        std::ranges::find_if(recent_, [&](const line* each) { return each != &which; });
    return other != recent_.end() && (*other)->last_called != steady_time() &&
           now - (*other)->last_called < use_remembered;
}

bool lane_scheduler::may_take_credit(const line& which, steady_time now) const {
    if (which.running == 0 || !others_in_use(which, now)) {
        return true;
    }
    return free_total_ > 1 && which.running < taken_per_free * free_total_;
}

// Calls that no worker has refused all go where the first of them goes, or nowhere.
std::optional<lane_scheduler::choice> lane_scheduler::first_that_fits(line& from) {
    std::optional<choice> found;
    bool hopeless = false;
    from.waiting.for_each([&](call& each) {
        if (found || hopeless) {
            return;
        }
        if (lane* where = choose(from, each)) {
            found.emplace(each, *where);
        }
        hopeless = each.refused_by_.empty();
    });
    return found;
}

lane_scheduler::lane* lane_scheduler::choose(line& from, const call& what) {
    const auto usable = [&](const lane& each) {
        return each.free() > 0 &&
               std::ranges::find(what.refused_by_, &each) == what.refused_by_.end();
    };
    line::idle_at* warmest = nullptr;
    for (auto& each : from.warm) {
        if (each.revision == what.revision_ && usable(*each.where) &&
            (warmest == nullptr || less_loaded(*each.where, *warmest->where))) {
            warmest = &each;
        }
    }
    if (warmest != nullptr) {
        lane* chosen = warmest->where;
        if (--warmest->idle == 0) {  // its call takes it, until the worker says otherwise
            *warmest = from.warm.back();
            from.warm.pop_back();
        }
        return chosen;
    }
    lane* best = nullptr;
    for (lane* each : lanes_) {
        if (usable(*each) && (best == nullptr || less_loaded(*each, *best))) {
            best = each;
        }
    }
    return best;
}

std::optional<lane_scheduler::choice> lane_scheduler::next(steady_time now) {
    if (free_total_ == 0 || ready_.empty()) {
        return std::nullopt;
    }
    line* from = nullptr;
    std::optional<choice> found;
    ready_.for_each([&](line& each) {
        if (found || !may_take_credit(each, now)) {
            return;
        }
        if (const auto fits = first_that_fits(each)) {
            found.emplace(*fits);
            from = &each;
        }
    });
    if (!found) {
        return std::nullopt;
    }
    withdraw(found->what);
    if (from->waiting_count > 0) {  // its turn is over
        from->unlink();
        ready_.push_back(*from);
    }
    ++from->running;
    change(found->where, [](lane& used) { ++used.outstanding_; });
    return found;
}

void lane_scheduler::ended(lane& where, call& what) {
    change(where, [](lane& used) { --used.outstanding_; });
    ended(what);
}

void lane_scheduler::ended(call& what) {
    --what.line_->running;
}

}  // namespace hearth::ctrl
