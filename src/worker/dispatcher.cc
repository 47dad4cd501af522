#include "worker/dispatcher.h"

#include <algorithm>

#include "base/concat.h"
#include "worker/dispatcher_pool.h"
#include "worker/error_report.h"

namespace hearth::worker {
namespace {

dispatcher::refusal too_big(const faas::function& target, std::int64_t budget_mb) {
    faas::outcome end = failure_outcome(
        faas::error_type::start_failed,
        concat("memoryMb ", target.memory_mb, " is more than this host's budget of ", budget_mb,
               " MB; lower it, or start Hearth with a larger --memory-budget"));
    end.not_started = true;
    return {error{errc::unavailable, end.error_message}, std::move(end)};
}

}  // namespace

dispatcher::dispatcher(uring::ring& home, sandbox_manager& manager, code_cache& code,
                       violations& found, const dispatcher_options& options)
    : manager_(manager),
      code_(code),
      options_(options),
      surroundings_{.home = home,
                    .manager = manager,
                    .found = found,
                    .cpu_floor_millis = options.cpu_floor_millis} {
    tasks_.spawn(tend_idle());
}

dispatcher::~dispatcher() = default;

dispatcher::pool& dispatcher::pool_of(const std::shared_ptr<const faas::function>& target) {
    auto& slot = pools_[{target->id, target->revision}];
    if (slot == nullptr) {
        slot = std::make_unique<pool>(target);
        slot->retired = retired_.contains(target->id, target->revision);
    }
    return *slot;
}

dispatcher::pool* dispatcher::find_pool(const faas::function& target) {
    const auto found = pools_.find({target.id, target.revision});
    return found == pools_.end() ? nullptr : found->second.get();
}

void dispatcher::drop_if_unused(pool& which) {
    if (which.waiters.empty() && which.live() == 0 && !which.growing &&
        (which.retired || which.backoff.is_over(steady_clock::now()))) {
        pools_.erase({which.target->id, which.target->revision});
    }
}

std::optional<error> dispatcher::queue_full(const pool& which) const {
    if (which.waiters.size() >= options_.function_queue_max) {
        return error{errc::limit_exceeded, concat("the function's queue is full (",
                                                  options_.function_queue_max, " calls wait)")};
    }
    if (waiting_ >= options_.host_queue_max) {
        return error{errc::limit_exceeded,
                     concat("the host's queue is full (", options_.host_queue_max, " calls wait)")};
    }
    return std::nullopt;
}

task<std::expected<warm_sandbox*, dispatcher::refusal>> dispatcher::acquire(
    std::shared_ptr<const faas::function> target, deadline until) {
    using answer = std::expected<warm_sandbox*, refusal>;
    if (finishing_) {
        co_return answer(std::unexpect, error{errc::unavailable, "the worker is shutting down"});
    }
    if (target->memory_mb > options_.memory_budget_mb) {
        // An outcome, not "try again later": a job would come back for ever.
        co_return answer(std::unexpect, too_big(*target, options_.memory_budget_mb));
    }
    pool& mine = pool_of(target);
    ++mine.calls;
    if (warm_sandbox* usable = take_usable(mine)) {
        run(mine, *usable);
        co_return usable;
    }
    if (auto full = queue_full(mine)) {
        drop_if_unused(mine);
        co_return answer(std::unexpect, std::move(*full));
    }
    waiter self;
    if (mine.waiters.empty()) {
        mine.pressed_since = steady_clock::now();
    }
    mine.waiters.push_back(&self);
    ++waiting_;
    grow(mine);
    keep_growing(mine);
    auto decided = co_await self.decided.wait(until);
    if (self.granted != nullptr) {
        co_return self.granted;
    }
    if (self.refused) {
        co_return std::unexpected(std::move(*self.refused));
    }
    --waiting_;
    std::erase(mine.waiters, &self);
    drop_if_unused(mine);
    co_return answer(std::unexpect, std::move(decided.error()));
}

void dispatcher::release(warm_sandbox& used, double service_ms) {
    --busy_;
    released_.notify_all();
    pool* home = find_pool(used.target());
    home->running.erase(&used);
    home->service_ms = smoothed(home->service_ms, service_ms);
    if (!used.healthy() || used.ended() || finishing_) {
        ++statistics_.discarded;
        discard(used);
        grow(*home);
    } else if (used.is_worn_out(options_.recycling)) {
        ++statistics_.recycled;
        discard(used);
        grow(*home);
    } else if (used.has_more_running()) {
        used.life.become(sandbox_state::settling);
        ++home->settling;
        tasks_.spawn(settle(used));
    } else {
        keep(*home, used);
    }
    serve_starved();
    drop_if_unused(*home);
}

void dispatcher::run(pool& which, warm_sandbox& taken) {
    taken.life.become(sandbox_state::running);
    which.running.emplace(&taken, steady_clock::now());
    ++busy_;
}

// A sandbox that may serve again, unless its room is another's.
void dispatcher::keep(pool& which, warm_sandbox& free_one) {
    if (must_yield(which)) {
        ++statistics_.evicted;
        discard(free_one);
    } else {
        give(which, free_one);
    }
}

// Hands a free sandbox to the longest waiting call of its revision, or keeps it for the next one.
void dispatcher::give(pool& which, warm_sandbox& free_one) {
    free_one.life.become(sandbox_state::idle);
    if (!which.waiters.empty()) {
        waiter& next = *which.waiters.front();
        which.waiters.pop_front();
        --waiting_;
        run(which, free_one);
        next.granted = &free_one;
        next.decided.set();
        return;
    }
    if (which.retired) {
        ++statistics_.retired;
        discard(free_one);
        return;
    }
    free_one.idle_since = steady_clock::now();
    free_one.eviction_priority = eviction_.priority_of(
        {.calls = which.calls, .start_ms = which.start_ms, .size_mb = which.target->memory_mb});
    which.idle.push_back(&free_one);
    if (due_of(free_one) < idle_due_) {
        idle_changed_.notify_all();
    }
}

void dispatcher::retire(std::string_view function_id, std::int64_t current_revision) {
    retired_.add(function_id, current_revision);
    std::vector<pool*> old;
    for (auto each = pools_.lower_bound({std::string(function_id), 0});
         each != pools_.end() && each->first.first == function_id; ++each) {
        // Not newer ones: two updates may be announced in the wrong order.
        if (current_revision == 0 || each->first.second < current_revision) {
            old.push_back(each->second.get());
        }
    }
    for (pool* each : old) {
        each->retired = true;
        while (warm_sandbox* idle_one = take_idle(*each)) {
            ++statistics_.retired;
            discard(*idle_one);
        }
        drop_if_unused(*each);
    }
}

task<void> dispatcher::finish() {
    finishing_ = true;
    idle_changed_.notify_all();
    finish_began_.notify_all();
    std::vector<pool*> all;
    all.reserve(pools_.size());
    for (auto& [key, each] : pools_) {
        all.push_back(each.get());
    }
    for (pool* each : all) {
        while (!each->waiters.empty()) {
            waiter& next = *each->waiters.front();
            each->waiters.pop_front();
            --waiting_;
            next.refused = refusal{error{errc::unavailable, "the worker is shutting down"}, {}};
            next.decided.set();
        }
        while (warm_sandbox* idle_one = take_idle(*each)) {
            discard(*idle_one);
        }
        drop_if_unused(*each);
    }
    // Those that start or run. A call sees its process end; release() then discards the sandbox.
    for (const auto& [sandbox, owned] : sandboxes_) {
        sandbox->kill();
    }
    while (busy_ > 0) {
        co_await released_.wait_unstoppable();
    }
    co_await tasks_.join();
}

}  // namespace hearth::worker
