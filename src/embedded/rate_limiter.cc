#include "embedded/rate_limiter.h"

#include <algorithm>
#include <utility>

namespace hearth::embedded {

steady_time rate_limiter::time_ring::recent(std::size_t back) const noexcept {
    return times_[(first_ + size_ - 1 - back) % times_.size()];
}

void rate_limiter::time_ring::push(steady_time time) {
    if (size_ == times_.size()) {
        std::rotate(times_.begin(), times_.begin() + static_cast<std::ptrdiff_t>(first_),
                    times_.end());
        first_ = 0;
        times_.resize(std::max<std::size_t>(8, 2 * times_.size()));
    }
    times_[(first_ + size_) % times_.size()] = time;
    ++size_;
}

void rate_limiter::time_ring::pop_oldest() noexcept {
    first_ = (first_ + 1) % times_.size();
    --size_;
}

rate_limiter::rate_limiter(rate_limiter_settings settings) : settings_(std::move(settings)) {
    settings_.keys_max = std::max<std::size_t>(settings_.keys_max, 1);
    settings_.entries_max = std::max<std::size_t>(settings_.entries_max, 1);
    set_limit(settings_.limit);
}

void rate_limiter::set_limit(std::int64_t limit) noexcept {
    settings_.limit =
        std::clamp<std::int64_t>(limit, 0, static_cast<std::int64_t>(settings_.entries_max));
}

task<result<faas::rate_decision>> rate_limiter::check(std::string_view key, deadline) {
    co_return decide(key);
}

faas::rate_decision rate_limiter::decide(std::string_view key) {
    if (settings_.limit == 0) {
        return {};
    }
    const steady_time now = settings_.now();
    time_ring& times = touch(key).times;
    while (times.size() > 0 && times.oldest() + settings_.window <= now) {
        times.pop_oldest();
        --entries_;
    }
    const auto limit = static_cast<std::size_t>(settings_.limit);
    faas::rate_decision decision{.allowed = times.size() < limit, .limit = settings_.limit};
    if (!decision.allowed) {
        // The limit may have been lowered since: enough of the newest must stay below it.
        const steady_time leaves = times.recent(limit - 1) + settings_.window;
        decision.retry_after = std::chrono::ceil<milliseconds>(leaves - now);
        return decision;
    }
    while (entries_ >= settings_.entries_max && keys_.size() > 1) {
        forget_stalest();
    }
    times.push(now);
    ++entries_;
    decision.remaining = settings_.limit - static_cast<std::int64_t>(times.size());
    return decision;
}

rate_limiter::key_log& rate_limiter::touch(std::string_view key) {
    if (const auto place = places_.find(key); place != places_.end()) {
        keys_.splice(keys_.begin(), keys_, place->second);
        return keys_.front();
    }
    while (keys_.size() >= settings_.keys_max) {
        forget_stalest();
    }
    keys_.push_front({std::string(key), {}});
    places_.emplace(keys_.front().key, keys_.begin());
    return keys_.front();
}

void rate_limiter::forget_stalest() {
    key_log& stalest = keys_.back();
    entries_ -= stalest.times.size();
    places_.erase(stalest.key);
    keys_.pop_back();
}

}  // namespace hearth::embedded
