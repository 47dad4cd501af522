#include <algorithm>

#include "base/concat.h"
#include "base/log.h"
#include "worker/dispatcher_pool.h"
#include "worker/error_report.h"
#include "worker/growth.h"

// The dispatcher's other half: how sandboxes come and go.

namespace hearth::worker {
namespace {

constexpr milliseconds regrow_interval_min{5};

}  // namespace

void dispatcher::grow(pool& which) {
    if (finishing_) {
        return;
    }
    const steady_time now = steady_clock::now();
    which.starved = false;
    if (which.backoff.must_wait(now)) {
        refuse_crash_loop(which);
        return;
    }
    double longest_ms = 0;
    for (const auto& [sandbox, since] : which.running) {
        longest_ms =
            std::max(longest_ms, std::chrono::duration<double, std::milli>(now - since).count());
    }
    const double pressed_ms =
        std::chrono::duration<double, std::milli>(now - which.pressed_since).count();
    std::size_t wanted = sandboxes_to_start({.waiting = which.waiters.size(),
                                             .running = which.running.size() + which.settling,
                                             .starting = which.starting,
                                             .service_ms = which.service_ms,
                                             .longest_running_ms = longest_ms,
                                             .start_ms = which.start_ms,
                                             .pressed_ms = pressed_ms,
                                             .processors = options_.processors});
    wanted = std::min(wanted,
                      options_.concurrency_max - std::min(which.live(), options_.concurrency_max));
    if (which.backoff.is_probing()) {
        wanted = std::min<std::size_t>(wanted, which.starting == 0 ? 1 : 0);
    }
    for (std::size_t i = 0; i < wanted; ++i) {
        if (must_yield(which) || !make_room(which.target->memory_mb)) {
            which.starved = true;
            return;
        }
        memory_used_mb_ += which.target->memory_mb;
        ++which.starting;
        which.pressed_since = now;
        ++statistics_.started;
        // Made here, not in its task: sandboxes_ counts it from now on.
        auto made = std::make_unique<warm_sandbox>(surroundings_, tasks_, which.target);
        warm_sandbox& fresh = *made;
        sandboxes_.emplace(&fresh, std::move(made));
        tasks_.spawn(start_one(fresh));
    }
}

// True when a function that has no sandbox at all has waited longer than this one's calls: what
// gets free is its, or a busy function would keep it out for ever.
bool dispatcher::must_yield(const pool& which) const {
    if (which.waiters.empty() || waiting_ == which.waiters.size()) {
        return false;
    }
    return std::ranges::any_of(pools_, [&](const auto& entry) {
        const pool& other = *entry.second;
        return &other != &which && other.is_stuck() &&
               other.waiters.front()->since < which.waiters.front()->since &&
               !will_fit(other.target->memory_mb);
    });
}

bool dispatcher::fits(std::int64_t memory_mb) const {
    return memory_used_mb_ + memory_mb <= options_.memory_budget_mb &&
           sandboxes_.size() + ending_ < manager_.hello().slots;
}

// Once those that are being ended are gone.
bool dispatcher::will_fit(std::int64_t memory_mb) const {
    return memory_used_mb_ - ending_mb_ + memory_mb <= options_.memory_budget_mb &&
           sandboxes_.size() < manager_.hello().slots;
}

// True when a sandbox of that size fits now. Otherwise the idle ones that are worth least are
// ended, as far as that can help; serve_starved() comes back when they are gone.
bool dispatcher::make_room(std::int64_t memory_mb) {
    while (!fits(memory_mb)) {
        pool* owner = nullptr;
        const auto worth = [](const pool& each) {
            return each.idle.front()->eviction_priority;
        };
        for (auto& [key, each] : pools_) {
            if (!each->idle.empty() && (owner == nullptr || worth(*each) < worth(*owner))) {
                owner = each.get();
            }
        }
        if (will_fit(memory_mb) || owner == nullptr) {
            return false;
        }
        warm_sandbox* least = owner->idle.front();
        eviction_.evicted(least->eviction_priority);
        owner->idle.erase(owner->idle.begin());
        ++statistics_.evicted;
        discard(*least);
    }
    return true;
}

// The longest waiting first, so that what got free is not taken by whoever comes first in the
// table.
void dispatcher::serve_starved() {
    if (waiting_ == 0) {
        return;
    }
    std::vector<pool*> starved;
    for (auto& [key, each] : pools_) {
        if (each->starved) {
            starved.push_back(each.get());
        }
    }
    const auto waits_since = [](const pool* each) {
        return each->waiters.empty() ? steady_time::max() : each->waiters.front()->since;
    };
    std::ranges::sort(starved, {}, waits_since);
    for (pool* each : starved) {
        grow(*each);
    }
}

void dispatcher::keep_growing(pool& which) {
    if (!which.growing) {
        which.growing = true;
        tasks_.spawn(regrow({which.target->id, which.target->revision}));
    }
}

// While calls wait, looks again after each start's time: a call that runs longer than that is slow,
// and more sandboxes pay off.
task<void> dispatcher::regrow(pool_key key) {
    pool& which = *pools_.at(key);
    while (!which.waiters.empty() && !finishing_) {
        const auto pause = std::chrono::duration_cast<milliseconds>(
            std::chrono::duration<double, std::milli>(which.start_ms));
        [[maybe_unused]] const auto waited =
            co_await finish_began_.wait(after(std::max(pause, regrow_interval_min)));
        grow(which);
    }
    which.growing = false;
    drop_if_unused(which);
}

task<void> dispatcher::start_one(warm_sandbox& fresh) {
    const faas::function& target = fresh.target();
    const steady_time began = steady_clock::now();
    fresh.set_on_end([this] { idle_changed_.notify_all(); });
    auto code = co_await code_.get(target, after(init_timeout));
    std::expected<void, faas::outcome> started;
    if (!code) {
        started = std::unexpected(
            failure_outcome(faas::error_type::code_unavailable,
                            concat("the function's code cannot be had: ", code.error().message)));
        started.error().not_started = true;
        // Code that is gone will not come back.
        started.error().host_trouble = code.error().code != errc::not_found;
    } else if (!finishing_) {
        started = co_await fresh.start(**code);
    }
    pool& mine = *find_pool(target);
    --mine.starting;
    if (started && !finishing_) {
        const auto took = std::chrono::duration<double, std::milli>(steady_clock::now() - began);
        mine.start_ms = smoothed(mine.start_ms, took.count());
        mine.backoff.succeeded();
        fresh.hold_code(std::move(*code));
        give(mine, fresh);
    } else {
        ++statistics_.start_failures;
        if (!started) {
            log::info("a sandbox did not start", {{"functionId", target.id},
                                                  {"errorType", started.error().error_type},
                                                  {"reason", started.error().error_message}});
            // Not the host's failures: an update of the function would not mend them.
            if (!started.error().not_started) {
                mine.backoff.failed(steady_clock::now(), concat(started.error().error_type, ": ",
                                                                started.error().error_message));
            }
            fail_waiters(mine, started.error());
        }
        discard(fresh);
    }
    drop_if_unused(mine);
}

// A failed start is the outcome of the call that it was for; where no other sandbox is there or on
// its way, it is the outcome of all that wait, since a next start would only repeat it.
void dispatcher::fail_waiters(pool& which, const faas::outcome& why) {
    std::size_t count = which.has_prospects() ? 1 : which.waiters.size();
    while (count-- > 0 && !which.waiters.empty()) {
        waiter& next = *which.waiters.front();
        which.waiters.pop_front();
        --waiting_;
        next.refused = refusal{error{errc::internal, why.error_message}, why};
        next.decided.set();
    }
}

// Until the pause has passed, those who have no other sandbox to wait for are told so.
void dispatcher::refuse_crash_loop(pool& which) {
    if (which.waiters.empty() || which.has_prospects()) {
        return;
    }
    statistics_.crash_loop_refusals += which.waiters.size();
    fail_waiters(which, failure_outcome(faas::error_type::crash_loop,
                                        which.backoff.message(steady_clock::now())));
}

// Ends a sandbox that nobody uses. Its memory counts until it is gone.
void dispatcher::discard(warm_sandbox& which) {
    which.life.become(sandbox_state::ending);
    const auto found = sandboxes_.find(&which);
    ++ending_;
    ending_mb_ += which.target().memory_mb;
    tasks_.spawn(end_one(std::move(found->second)));
    sandboxes_.erase(found);
}

task<void> dispatcher::end_one(std::unique_ptr<warm_sandbox> which) {
    const std::int64_t memory_mb = which->target().memory_mb;
    co_await which->end();
    which->life.become(sandbox_state::gone);
    // Its eviction may have left its pool with nothing.
    if (pool* home = find_pool(which->target())) {
        drop_if_unused(*home);
    }
    which.reset();
    --ending_;
    ending_mb_ -= memory_mb;
    memory_used_mb_ -= memory_mb;
    serve_starved();
}

}  // namespace hearth::worker
