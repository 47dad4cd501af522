#include "worker/dispatcher.h"

#include <algorithm>

#include "base/concat.h"
#include "base/log.h"
#include "worker/error_report.h"
#include "worker/growth.h"

namespace hearth::worker {
namespace {

constexpr double smoothing = 0.2;      // weight of the newest sample in the moving means
constexpr double start_ms_guess = 25;  // before the first start was measured
constexpr milliseconds regrow_interval_min{5};

double smoothed(double mean, double sample) {
    return mean == 0 ? sample : mean + smoothing * (sample - mean);
}

}  // namespace

// A call in line for a sandbox; it lives in acquire()'s frame.
struct dispatcher::waiter {
    event decided;
    warm_sandbox* granted = nullptr;
    std::optional<refusal> refused;
};

struct dispatcher::pool {
    explicit pool(std::shared_ptr<const faas::function> which) : target(std::move(which)) {}

    std::shared_ptr<const faas::function> target;
    std::deque<waiter*> waiters;
    std::vector<warm_sandbox*> idle;  // most recently used last
    std::unordered_map<warm_sandbox*, steady_time> running;
    std::size_t starting = 0;
    double service_ms = 0;
    double start_ms = start_ms_guess;
    bool retired = false;
    bool starved = false;  // wants a sandbox that the budget has no room for
    bool growing = false;  // regrow() looks after it
};

dispatcher::dispatcher(uring::ring& home, sandbox_manager& manager, code_cache& code,
                       const dispatcher_options& options)
    : home_(home), manager_(manager), code_(code), options_(options) {
    tasks_.spawn(expire_idle());
}

dispatcher::~dispatcher() = default;

dispatcher::pool& dispatcher::pool_of(const std::shared_ptr<const faas::function>& target) {
    auto& slot = pools_[{target->id, target->revision}];
    if (slot == nullptr) {
        slot = std::make_unique<pool>(target);
    }
    return *slot;
}

dispatcher::pool* dispatcher::find_pool(const faas::function& target) {
    const auto found = pools_.find({target.id, target.revision});
    return found == pools_.end() ? nullptr : found->second.get();
}

void dispatcher::drop_if_unused(pool& which) {
    if (which.waiters.empty() && which.idle.empty() && which.running.empty() &&
        which.starting == 0 && !which.growing) {
        pools_.erase({which.target->id, which.target->revision});
    }
}

warm_sandbox* dispatcher::take_idle(pool& from) {
    if (from.idle.empty()) {
        return nullptr;
    }
    warm_sandbox* taken = from.idle.back();
    from.idle.pop_back();
    return taken;
}

task<std::expected<warm_sandbox*, dispatcher::refusal>> dispatcher::acquire(
    std::shared_ptr<const faas::function> target, deadline until) {
    using answer = std::expected<warm_sandbox*, refusal>;
    if (finishing_) {
        co_return answer(std::unexpect, error{errc::unavailable, "the worker is shutting down"});
    }
    if (target->memory_mb > options_.memory_budget_mb) {
        co_return answer(std::unexpect,
                         error{errc::unavailable, concat("memoryMb ", target->memory_mb,
                                                         " is more than this host's budget of ",
                                                         options_.memory_budget_mb, " MB")});
    }
    pool& mine = pool_of(target);
    if (warm_sandbox* ready = take_idle(mine)) {
        mine.running.emplace(ready, steady_clock::now());
        ++busy_;
        co_return ready;
    }
    if (mine.waiters.size() >= options_.function_queue_max || waiting_ >= options_.host_queue_max) {
        co_return answer(
            std::unexpect,
            error{errc::limit_exceeded, mine.waiters.size() >= options_.function_queue_max
                                            ? concat("the function's queue is full (",
                                                     options_.function_queue_max, " calls wait)")
                                            : concat("the host's queue is full (",
                                                     options_.host_queue_max, " calls wait)")});
    }
    waiter self;
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
    } else {
        give(*home, used);
    }
    serve_starved();
    drop_if_unused(*home);
}

// Hands a free sandbox to the longest waiting call of its revision, or keeps it for the next one.
void dispatcher::give(pool& which, warm_sandbox& free_one) {
    if (!which.waiters.empty()) {
        waiter& next = *which.waiters.front();
        which.waiters.pop_front();
        --waiting_;
        which.running.emplace(&free_one, steady_clock::now());
        ++busy_;
        next.granted = &free_one;
        next.decided.set();
    } else if (which.retired) {
        ++statistics_.retired;
        discard(free_one);
    } else {
        free_one.idle_since = steady_clock::now();
        which.idle.push_back(&free_one);
        if (expiry_due_ == never) {
            idle_changed_.notify_all();  // expire_idle() sleeps without an end
        }
    }
}

void dispatcher::grow(pool& which) {
    if (finishing_) {
        return;
    }
    const steady_time now = steady_clock::now();
    double longest_ms = 0;
    for (const auto& [sandbox, since] : which.running) {
        longest_ms =
            std::max(longest_ms, std::chrono::duration<double, std::milli>(now - since).count());
    }
    std::size_t wanted = sandboxes_to_start({.waiting = which.waiters.size(),
                                             .running = which.running.size(),
                                             .starting = which.starting,
                                             .service_ms = which.service_ms,
                                             .longest_running_ms = longest_ms,
                                             .start_ms = which.start_ms});
    const std::size_t live = which.running.size() + which.idle.size() + which.starting;
    wanted = std::min(wanted, options_.concurrency_max - std::min(live, options_.concurrency_max));
    which.starved = false;
    for (std::size_t i = 0; i < wanted; ++i) {
        if (!make_room(which.target->memory_mb)) {
            which.starved = true;
            return;
        }
        memory_used_mb_ += which.target->memory_mb;
        ++which.starting;
        ++statistics_.started;
        tasks_.spawn(start_one({which.target->id, which.target->revision}, which.target));
    }
}

// True when a sandbox of that size fits now. Otherwise the longest idle ones are ended, as far as
// that can help; serve_starved() comes back when they are gone.
bool dispatcher::make_room(std::int64_t memory_mb) {
    for (;;) {
        const bool fits = memory_used_mb_ + memory_mb <= options_.memory_budget_mb &&
                          sandboxes_.size() + ending_ < manager_.hello().slots;
        if (fits) {
            return true;
        }
        const bool will_fit =
            ending_ > 0 && memory_used_mb_ - ending_mb_ + memory_mb <= options_.memory_budget_mb;
        pool* owner = nullptr;
        for (auto& [key, each] : pools_) {
            if (!each->idle.empty() && (owner == nullptr || each->idle.front()->idle_since <
                                                                owner->idle.front()->idle_since)) {
                owner = each.get();
            }
        }
        if (will_fit || owner == nullptr) {
            return false;
        }
        warm_sandbox* oldest = owner->idle.front();
        owner->idle.erase(owner->idle.begin());
        ++statistics_.evicted;
        discard(*oldest);
    }
}

void dispatcher::serve_starved() {
    for (auto& [key, each] : pools_) {
        if (each->starved) {
            grow(*each);
        }
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
        [[maybe_unused]] const auto slept =
            co_await sleep_until(after(std::max(pause, regrow_interval_min)));
        grow(which);
    }
    which.growing = false;
    drop_if_unused(which);
}

task<void> dispatcher::start_one(pool_key key, std::shared_ptr<const faas::function> target) {
    const steady_time began = steady_clock::now();
    auto made = std::make_unique<warm_sandbox>(home_, manager_, tasks_, target);
    warm_sandbox& fresh = *made;
    sandboxes_.emplace(&fresh, std::move(made));
    fresh.set_on_end([this] { idle_changed_.notify_all(); });
    auto code = co_await code_.get(*target, after(init_timeout));
    std::expected<void, faas::outcome> started;
    if (code) {
        started = co_await fresh.start(**code);
    } else {
        started = std::unexpected(
            failure_outcome(faas::error_type::code_unavailable,
                            concat("the function's code cannot be had: ", code.error().message)));
        started.error().not_started = true;
    }
    pool& mine = *pools_.at(key);
    --mine.starting;
    if (started && !finishing_) {
        const auto took = std::chrono::duration<double, std::milli>(steady_clock::now() - began);
        mine.start_ms = smoothed(mine.start_ms, took.count());
        fresh.hold_code(std::move(*code));
        give(mine, fresh);
    } else {
        ++statistics_.start_failures;
        discard(fresh);
        if (!started) {
            log::info("a sandbox did not start", {{"functionId", target->id},
                                                  {"errorType", started.error().error_type},
                                                  {"reason", started.error().error_message}});
            fail_waiters(mine, started.error());
        }
    }
    drop_if_unused(mine);
}

// A failed start is the outcome of the call that it was for; where no other sandbox is there or on
// its way, it is the outcome of all that wait, since a next start would only repeat it.
void dispatcher::fail_waiters(pool& which, const faas::outcome& why) {
    std::size_t count = which.running.empty() && which.starting == 0 ? which.waiters.size() : 1;
    while (count-- > 0 && !which.waiters.empty()) {
        waiter& next = *which.waiters.front();
        which.waiters.pop_front();
        --waiting_;
        next.refused = refusal{error{errc::internal, why.error_message}, why};
        next.decided.set();
    }
}

// Ends a sandbox that nobody uses. Its memory counts until it is gone.
void dispatcher::discard(warm_sandbox& which) {
    const auto found = sandboxes_.find(&which);
    ++ending_;
    ending_mb_ += which.target().memory_mb;
    tasks_.spawn(end_one(std::move(found->second)));
    sandboxes_.erase(found);
}

task<void> dispatcher::end_one(std::unique_ptr<warm_sandbox> which) {
    const std::int64_t memory_mb = which->target().memory_mb;
    co_await which->end();
    which.reset();
    --ending_;
    ending_mb_ -= memory_mb;
    memory_used_mb_ -= memory_mb;
    serve_starved();
}

// Ends sandboxes that were idle for too long, or whose process has ended meanwhile.
task<void> dispatcher::expire_idle() {
    while (!finishing_) {
        deadline next = never;
        const steady_time now = steady_clock::now();
        std::vector<warm_sandbox*> over;
        for (auto& [key, each] : pools_) {
            std::erase_if(each->idle, [&](warm_sandbox* idle_one) {
                const deadline due = idle_one->idle_since + options_.idle_ttl;
                if (due <= now || idle_one->ended()) {
                    over.push_back(idle_one);
                    return true;
                }
                next = std::min(next, due);
                return false;
            });
        }
        for (warm_sandbox* each : over) {
            pool* owner = find_pool(each->target());
            ++statistics_.expired;
            discard(*each);
            drop_if_unused(*owner);
        }
        expiry_due_ = next;
        [[maybe_unused]] const auto woken = co_await idle_changed_.wait(next);
    }
}

void dispatcher::retire(std::string_view function_id, std::int64_t current_revision) {
    const auto first = pools_.lower_bound({std::string(function_id), 0});
    std::vector<pool*> old;
    for (auto each = first; each != pools_.end() && each->first.first == function_id; ++each) {
        if (each->first.second != current_revision) {
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

std::size_t dispatcher::idle() const noexcept {
    std::size_t count = 0;
    for (const auto& [key, each] : pools_) {
        count += each->idle.size();
    }
    return count;
}

task<void> dispatcher::finish() {
    finishing_ = true;
    idle_changed_.notify_all();
    std::vector<pool*> all;
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
        // A call that runs sees its process end; release() then discards the sandbox.
        for (const auto& [sandbox, since] : each->running) {
            sandbox->kill();
        }
        drop_if_unused(*each);
    }
    while (busy_ > 0) {
        co_await released_.wait_unstoppable();
    }
    co_await tasks_.join();
}

}  // namespace hearth::worker
