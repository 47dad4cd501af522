#include <algorithm>

#include "base/log.h"
#include "coro/yield.h"
#include "worker/dispatcher_pool.h"

// What the dispatcher does with sandboxes between two calls.

namespace hearth::worker {

warm_sandbox* dispatcher::take_idle(pool& from) {
    if (from.idle.empty()) {
        return nullptr;
    }
    warm_sandbox* taken = from.idle.back();
    from.idle.pop_back();
    return taken;
}

// The one that was used last, which is the last to be frozen. One that does not thaw, has ended or
// has spoken is ended, and the call gets another.
warm_sandbox* dispatcher::take_usable(pool& from) {
    while (warm_sandbox* idle_one = take_idle(from)) {
        const bool frozen = idle_one->life.is(sandbox_state::frozen);
        if (idle_one->ready_for_call() && (!frozen || idle_one->set_frozen(false))) {
            statistics_.thawed += frozen ? 1 : 0;
            return idle_one;
        }
        ++statistics_.discarded;
        discard(*idle_one);
    }
    return nullptr;
}

// Something runs in it that was not there before its call: it serves again once that has ended.
task<void> dispatcher::settle(warm_sandbox& used) {
    const bool clean = co_await used.settle();
    pool& home = *find_pool(used.target());
    --home.settling;
    if (clean && used.healthy() && !used.ended() && !finishing_) {
        keep(home, used);
    } else {
        ++(clean ? statistics_.discarded : statistics_.strays);
        discard(used);
        grow(home);
    }
    serve_starved();
    drop_if_unused(home);
}

std::size_t dispatcher::idle() const noexcept {
    std::size_t count = 0;
    for (const auto& [key, each] : pools_) {
        count += each->idle.size();
    }
    return count;
}

std::size_t dispatcher::idle_of(const faas::function& target) const {
    const auto found = pools_.find({target.id, target.revision});
    return found == pools_.end() || found->second->retired ? 0 : found->second->idle.size();
}

std::vector<idle_sandboxes> dispatcher::idle_by_revision() const {
    std::vector<idle_sandboxes> all;
    for (const auto& [key, each] : pools_) {
        if (!each->idle.empty() && !each->retired) {
            all.push_back(
                {.function_id = key.first, .revision = key.second, .count = each->idle.size()});
        }
    }
    return all;
}

std::vector<std::string> dispatcher::warm_functions(std::size_t most) const {
    std::vector<std::string> ids;
    for (const auto& [key, each] : pools_) {
        if (ids.size() < most && !each->idle.empty() && (ids.empty() || ids.back() != key.first)) {
            ids.push_back(key.first);
        }
    }
    return ids;
}

std::size_t dispatcher::frozen() const noexcept {
    std::size_t count = 0;
    for (const auto& [key, each] : pools_) {
        count += static_cast<std::size_t>(std::ranges::count_if(
            each->idle,
            [](const warm_sandbox* idle_one) { return idle_one->life.is(sandbox_state::frozen); }));
    }
    return count;
}

std::size_t dispatcher::crash_looping() const noexcept {
    const steady_time now = steady_clock::now();
    return static_cast<std::size_t>(std::ranges::count_if(
        pools_, [now](const auto& entry) { return entry.second->backoff.must_wait(now); }));
}

deadline dispatcher::due_of(const warm_sandbox& idle_one) const {
    const bool freezes =
        can_freeze_ && options_.freeze_after.count() > 0 && idle_one.life.is(sandbox_state::idle);
    return idle_one.idle_since +
           (freezes ? std::min<milliseconds>(options_.freeze_after, options_.idle_ttl)
                    : options_.idle_ttl);
}

// Freezes what is idle for a while, ends what is idle for too long or has died, and forgets
// failures that are long past.
task<void> dispatcher::tend_idle() {
    while (!finishing_) {
        idle_due_ = deadline::min();  // nobody needs to wake this up
        const steady_time now = steady_clock::now();
        end_expired(now);
        co_await freeze_quiet(now);
        idle_due_ = next_due();
        if (idle_due_ > steady_clock::now()) {
            [[maybe_unused]] const auto woken = co_await idle_changed_.wait(idle_due_);
        }
    }
}

void dispatcher::end_expired(steady_time now) {
    std::vector<warm_sandbox*> over;
    std::vector<pool*> forgotten;
    for (auto& [key, each] : pools_) {
        std::erase_if(each->idle, [&](warm_sandbox* idle_one) {
            const bool ends = idle_one->idle_since + options_.idle_ttl <= now || idle_one->ended();
            if (ends) {
                over.push_back(idle_one);
            }
            return ends;
        });
        if (!each->backoff.is_clear() && each->backoff.is_over(now)) {
            forgotten.push_back(each.get());
        }
    }
    for (warm_sandbox* each : over) {
        ++statistics_.expired;
        discard(*each);  // end_one() drops the pool
    }
    for (pool* each : forgotten) {
        each->backoff.succeeded();
        drop_if_unused(*each);
    }
}

// One at a time, with everything else in between.
task<void> dispatcher::freeze_quiet(steady_time now) {
    std::vector<warm_sandbox*> quiet;
    for (const auto& [key, each] : pools_) {
        std::ranges::copy_if(each->idle, std::back_inserter(quiet), [&](const warm_sandbox* one) {
            return one->life.is(sandbox_state::idle) && due_of(*one) <= now;
        });
    }
    for (warm_sandbox* each : quiet) {
        // It may have been used or ended meanwhile.
        if (!sandboxes_.contains(each) || !each->life.is(sandbox_state::idle) ||
            due_of(*each) > now || finishing_) {
            continue;
        }
        if (auto frozen = each->set_frozen(true); frozen) {
            each->life.become(sandbox_state::frozen);
            ++statistics_.frozen;
        } else if (frozen.error().code == errc::closed) {
            each->idle_since = now;  // not again at once: its end is on its way
        } else {
            can_freeze_ = false;
            log::info("idle sandboxes are not frozen", {{"reason", frozen.error().message}});
            co_return;
        }
        co_await yield();
    }
}

deadline dispatcher::next_due() const {
    deadline next = never;
    for (const auto& [key, each] : pools_) {
        for (const warm_sandbox* idle_one : each->idle) {
            next = std::min(next, idle_one->ended() ? steady_clock::now() : due_of(*idle_one));
        }
        if (!each->backoff.is_clear()) {
            next = std::min(next, each->backoff.forgotten_at());
        }
    }
    return next;
}

}  // namespace hearth::worker
