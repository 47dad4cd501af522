#include "aws/retry.h"

#include <algorithm>
#include <cmath>

namespace hearth::aws {
namespace {

constexpr double rate_min = 0.5;
constexpr double capacity_min = 1;
constexpr double smoothing = 0.8;
constexpr double shrink_to = 0.7;
constexpr double growth = 0.4;
constexpr milliseconds bucket{500};

double seconds_between(steady_time from, steady_time to) {
    return std::chrono::duration<double>(to - from).count();
}

}  // namespace

milliseconds pause_before(int retry, bool throttled, const pause_range& range,
                          std::uint64_t random) noexcept {
    const auto base = throttled ? range.throttled_base : range.base;
    const int doublings = std::clamp(retry - 1, 0, 20);
    const std::int64_t most = std::min(base.count() << doublings, range.most.count());
    return milliseconds(static_cast<std::int64_t>(random % static_cast<std::uint64_t>(most + 1)));
}

steady_time send_rate::admit(steady_time now) noexcept {
    if (!limited_) {
        return now;
    }
    refill(now);
    capacity_ -= 1;
    if (capacity_ >= 0) {
        return now;
    }
    // Calls that wait have taken what comes in until then.
    return now + std::chrono::duration_cast<nanoseconds>(
                     std::chrono::duration<double>(-capacity_ / rate_));
}

void send_rate::answered(bool throttled, steady_time now) noexcept {
    measure(now);
    double wanted = 0;
    if (throttled) {
        const double from = limited_ ? std::min(measured_, rate_) : measured_;
        last_max_ = from;
        throttled_at_ = now;
        window_seconds_ = std::cbrt(last_max_ * (1 - shrink_to) / growth);
        wanted = from * shrink_to;
        if (!limited_) {
            limited_ = true;
            refilled_ = now;
        }
    } else if (limited_) {
        const double since = seconds_between(throttled_at_, now) - window_seconds_;
        wanted = growth * since * since * since + last_max_;
    } else {
        return;
    }
    refill(now);
    rate_ = std::max(std::min(wanted, 2 * measured_), rate_min);
    capacity_max_ = std::max(rate_, capacity_min);
    capacity_ = std::min(capacity_, capacity_max_);
}

void send_rate::refill(steady_time now) noexcept {
    capacity_ = std::min(capacity_ + seconds_between(refilled_, now) * rate_, capacity_max_);
    refilled_ = now;
}

void send_rate::measure(steady_time now) noexcept {
    const std::int64_t current = now.time_since_epoch() / bucket;
    ++count_;
    if (measured_bucket_ == 0) {
        measured_bucket_ = current - 1;
    }
    if (current > measured_bucket_) {
        const double rate =
            static_cast<double>(count_) * 2 / static_cast<double>(current - measured_bucket_);
        measured_ = rate * smoothing + measured_ * (1 - smoothing);
        count_ = 0;
        measured_bucket_ = current;
    }
}

}  // namespace hearth::aws
