#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "faas/ports.h"

namespace hearth::embedded {

struct rate_limiter_settings {
    std::int64_t limit = 0;  // requests per window and key; 0: no limit
    milliseconds window{60'000};
    // Memory bounds. When one is reached the key that was asked for longest ago is forgotten, and
    // with it what it has used.
    std::size_t keys_max = 10'000;
    std::size_t entries_max = 4'000'000;  // times remembered in all, 8 bytes each
    std::function<steady_time()> now = steady_clock::now;
};

// The times of each key's allowed requests, in memory: exact at both edges of the window. A request
// counts from its moment up to, not including, that moment plus the window; a refused one does not
// count. A check never waits, so its deadline has no effect. One event-loop thread.
class rate_limiter final : public faas::rate_limiter {
public:
    // A limit below 0 is taken for 0; above entries_max for entries_max.
    explicit rate_limiter(rate_limiter_settings settings);

    task<result<faas::rate_decision>> check(std::string_view key, deadline until) override;
    [[nodiscard]] faas::rate_decision decide(std::string_view key);

    // From the next check on; what was used stays used.
    void set_limit(std::int64_t limit) noexcept;
    [[nodiscard]] std::size_t keys_held() const noexcept { return places_.size(); }
    [[nodiscard]] std::size_t entries_held() const noexcept { return entries_; }

private:
    // A ring of times, oldest first, that grows with use up to the limit.
    class time_ring {
    public:
        [[nodiscard]] std::size_t size() const noexcept { return size_; }
        [[nodiscard]] steady_time oldest() const noexcept { return times_[first_]; }
        // `back` counts from the newest, 0 being it.
        [[nodiscard]] steady_time recent(std::size_t back) const noexcept;
        void push(steady_time time);
        void pop_oldest() noexcept;

    private:
        std::vector<steady_time> times_;
        std::size_t first_ = 0;
        std::size_t size_ = 0;
    };
    struct key_log {
        std::string key;
        time_ring times;
    };
    using order = std::list<key_log>;  // the one asked for last in front

    key_log& touch(std::string_view key);
    void forget_stalest();

    rate_limiter_settings settings_;
    order keys_;
    std::unordered_map<std::string_view, order::iterator> places_;  // views into keys_
    std::size_t entries_ = 0;
};

}  // namespace hearth::embedded
