#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "coro/event.h"
#include "worker/dispatcher.h"
#include "worker/start_backoff.h"

// Private to the dispatcher's own files.

namespace hearth::worker {

// A call in line for a sandbox; it lives in acquire()'s frame.
struct dispatcher::waiter {
    steady_time since = steady_clock::now();
    event decided;
    warm_sandbox* granted = nullptr;
    std::optional<refusal> refused;
};

// One revision's calls and sandboxes. It exists while it has any of them, or failures to remember.
struct dispatcher::pool {
    static constexpr double start_ms_guess = 25;  // before the first start was measured

    explicit pool(std::shared_ptr<const faas::function> which) : target(std::move(which)) {}

    std::shared_ptr<const faas::function> target;
    std::deque<waiter*> waiters;
    steady_time pressed_since{};      // since when there was always one
    std::vector<warm_sandbox*> idle;  // most recently used last
    std::unordered_map<warm_sandbox*, steady_time> running;
    std::size_t starting = 0;
    std::size_t settling = 0;  // released, not yet known to be clean
    std::uint64_t calls = 0;   // since the pool is there
    start_backoff backoff;
    double service_ms = 0;
    double start_ms = start_ms_guess;
    bool retired = false;
    bool starved = false;  // wants a sandbox that there is no room for
    bool growing = false;  // regrow() looks after it

    // Has callers and nothing that will ever serve them.
    [[nodiscard]] bool is_stuck() const { return starved && !waiters.empty() && !has_prospects(); }
    // A sandbox that may serve those that wait.
    [[nodiscard]] bool has_prospects() const {
        return !running.empty() || starting > 0 || settling > 0;
    }
    [[nodiscard]] std::size_t live() const {
        return running.size() + idle.size() + starting + settling;
    }
};

// Moving mean of times; 0 is none yet.
[[nodiscard]] inline double smoothed(double mean, double sample) {
    constexpr double newest_weight = 0.2;
    return mean == 0 ? sample : mean + newest_weight * (sample - mean);
}

}  // namespace hearth::worker
