#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "coro/scope.h"
#include "faas/ports.h"
#include "worker/code_cache.h"
#include "worker/eviction.h"
#include "worker/recycling.h"
#include "worker/retired_revisions.h"
#include "worker/sandbox.h"
#include "worker/sandbox_manager.h"
#include "worker/violations.h"

namespace hearth::worker {

// A thaw costs some 20 microseconds and a freeze as much, so that a sandbox may as well run for a
// hundred thousand times that: what is called at least every two seconds never pays.
inline constexpr seconds freeze_after_default{2};
// A whole processor: cpu_millis_of().
inline constexpr std::uint32_t cpu_floor_millis_default = sandbox::cpu_millis_default;

struct dispatcher_options {
    std::int64_t memory_budget_mb = 1024;             // for the memoryMb of all sandboxes together
    std::size_t concurrency_max = 16;                 // sandboxes of one function
    std::size_t function_queue_max = 100;             // calls of one function without a sandbox
    std::size_t host_queue_max = 1000;                // of all functions
    seconds idle_ttl{600};                            // then an idle sandbox ends
    milliseconds freeze_after{freeze_after_default};  // then it is frozen; 0: never
    recycling_limits recycling;
    std::uint32_t cpu_floor_millis = cpu_floor_millis_default;
    std::size_t processors = std::thread::hardware_concurrency();
};

struct idle_sandboxes {
    std::string function_id;
    std::int64_t revision = 0;
    std::size_t count = 0;
};

struct dispatcher_statistics {
    std::uint64_t started = 0;
    std::uint64_t start_failures = 0;
    std::uint64_t evicted = 0;    // ended to make room
    std::uint64_t expired = 0;    // idle for longer than idle_ttl
    std::uint64_t discarded = 0;  // unhealthy after a call, or before the next
    std::uint64_t retired = 0;    // of an old revision
    std::uint64_t recycled = 0;   // worn out
    std::uint64_t strays = 0;     // left processes behind
    std::uint64_t frozen = 0;
    std::uint64_t thawed = 0;
    std::uint64_t crash_loop_refusals = 0;  // calls that were not tried
};

// Decides which sandbox runs which call: per revision a queue of calls and a set of sandboxes, over
// all of them a memory budget. Starts sandboxes where that shortens a queue (growth.h) and does not
// repeat a failure (start_backoff.h), hands a free one to the longest waiting call, freezes what is
// idle, makes room by ending the idle sandbox that is worth least (eviction.h). A function without
// any sandbox gets room as its oldest call's turn comes, however busy others are. Everything that
// it starts lives in its own scope, which is never stopped, only joined by finish(). Ring thread
// only.
class dispatcher {
public:
    dispatcher(uring::ring& home, sandbox_manager& manager, code_cache& code, violations& found,
               const dispatcher_options& options);
    ~dispatcher();

    // A refusal is an error of invoker::invoke(), or the outcome that the call ends with.
    struct refusal {
        error reason;
        std::optional<faas::outcome> outcome;
    };
    // A sandbox for one call, to be given back by release().
    task<std::expected<warm_sandbox*, refusal>> acquire(
        std::shared_ptr<const faas::function> target, deadline until);
    void release(warm_sandbox& used, double service_ms);

    void retire(std::string_view function_id, std::int64_t current_revision);
    // Ends every sandbox, running ones too, and waits until they are gone. Waiting calls are
    // refused.
    task<void> finish();

    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
    [[nodiscard]] std::size_t idle() const noexcept;  // frozen ones too
    [[nodiscard]] std::size_t frozen() const noexcept;
    // Of one revision, and of each that has any; retired ones not.
    [[nodiscard]] std::size_t idle_of(const faas::function& target) const;
    [[nodiscard]] std::vector<idle_sandboxes> idle_by_revision() const;
    // Ids of functions with an idle sandbox, in order; at most `most`.
    [[nodiscard]] std::vector<std::string> warm_functions(std::size_t most) const;
    // Functions whose next start waits.
    [[nodiscard]] std::size_t crash_looping() const noexcept;
    [[nodiscard]] std::size_t live() const noexcept { return sandboxes_.size(); }
    [[nodiscard]] std::size_t busy() const noexcept { return busy_; }
    [[nodiscard]] std::int64_t memory_used_mb() const noexcept { return memory_used_mb_; }
    [[nodiscard]] const dispatcher_statistics& statistics() const noexcept { return statistics_; }

private:
    struct waiter;
    struct pool;
    using pool_key = std::pair<std::string, std::int64_t>;

    pool& pool_of(const std::shared_ptr<const faas::function>& target);
    pool* find_pool(const faas::function& target);
    void drop_if_unused(pool& which);
    [[nodiscard]] std::optional<error> queue_full(const pool& which) const;
    warm_sandbox* take_idle(pool& from);
    warm_sandbox* take_usable(pool& from);
    void run(pool& which, warm_sandbox& taken);
    void keep(pool& which, warm_sandbox& free_one);
    void refuse_crash_loop(pool& which);
    void grow(pool& which);
    [[nodiscard]] bool must_yield(const pool& which) const;
    [[nodiscard]] bool fits(std::int64_t memory_mb) const;
    [[nodiscard]] bool will_fit(std::int64_t memory_mb) const;
    bool make_room(std::int64_t memory_mb);
    void serve_starved();
    void give(pool& which, warm_sandbox& free_one);
    void fail_waiters(pool& which, const faas::outcome& why);
    void discard(warm_sandbox& which);
    void keep_growing(pool& which);

    task<void> start_one(warm_sandbox& fresh);
    task<void> end_one(std::unique_ptr<warm_sandbox> which);
    task<void> regrow(pool_key key);
    task<void> settle(warm_sandbox& used);
    task<void> tend_idle();
    void end_expired(steady_time now);
    task<void> freeze_quiet(steady_time now);
    [[nodiscard]] deadline next_due() const;
    [[nodiscard]] deadline due_of(const warm_sandbox& idle_one) const;

    sandbox_manager& manager_;
    code_cache& code_;
    dispatcher_options options_;
    sandbox_surroundings surroundings_;
    greedy_dual eviction_;
    dispatcher_statistics statistics_;

    std::map<pool_key, std::unique_ptr<pool>> pools_;
    retired_revisions retired_;
    std::unordered_map<warm_sandbox*, std::unique_ptr<warm_sandbox>> sandboxes_;
    std::size_t ending_ = 0;
    std::int64_t ending_mb_ = 0;
    std::int64_t memory_used_mb_ = 0;
    std::size_t waiting_ = 0;
    std::size_t busy_ = 0;
    bool finishing_ = false;
    wait_list idle_changed_;
    wait_list finish_began_;
    wait_list released_;
    deadline idle_due_ = never;  // when tend_idle() looks next
    bool can_freeze_ = true;
    scope tasks_;
};

}  // namespace hearth::worker
