#pragma once

#include <cstdint>

#include "base/clock.h"

// When a failed call is tried again, and how fast calls may go: AWS's SDKs' "standard" and
// "adaptive" modes (docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html; numbers
// from botocore/retries). Plain arithmetic, one thread.

namespace hearth::aws {

// Retries cost tokens, and calls that succeed bring them back: when a service is down, a fleet's
// retries fade instead of multiplying what it is asked.
class retry_budget {
public:
    static constexpr int tokens_max = 500;
    static constexpr int retry_cost = 5;
    static constexpr int no_answer_cost = 10;

    // False: no retry.
    [[nodiscard]] bool take(int cost) noexcept {
        if (cost > tokens_) {
            return false;
        }
        tokens_ -= cost;
        return true;
    }
    // After a success: what its last retry cost, or 1 where it needed none.
    void give(int tokens) noexcept {
        tokens_ = tokens_ + tokens > tokens_max ? tokens_max : tokens_ + tokens;
    }
    [[nodiscard]] int tokens() const noexcept { return tokens_; }

private:
    int tokens_ = tokens_max;
};

struct pause_range {
    milliseconds base{100};            // before the first retry; doubled with each
    milliseconds throttled_base{500};  // the same, where the service said "slower"
    milliseconds most{20'000};
};

// "Full jitter": between nothing and the pause of that attempt (1 for the first retry). `random` is
// any 64 random bits.
[[nodiscard]] milliseconds pause_before(int retry, bool throttled, const pause_range& range,
                                        std::uint64_t random) noexcept;

// How fast this process may ask a service. Unlimited until the service first says "slower"; then
// the rate falls to 0.7 of what was measured and grows back along a cubic curve, as TCP's does.
class send_rate {
public:
    // The moment from which one more call may go out; that call is counted. give_back() when it is
    // not made after all.
    [[nodiscard]] steady_time admit(steady_time now) noexcept;
    void give_back() noexcept { capacity_ += limited_ ? 1.0 : 0.0; }
    // After each answer.
    void answered(bool throttled, steady_time now) noexcept;

    [[nodiscard]] bool limited() const noexcept { return limited_; }
    // Calls per second; meaningful while limited.
    [[nodiscard]] double per_second() const noexcept { return rate_; }

private:
    void refill(steady_time now) noexcept;
    void measure(steady_time now) noexcept;

    bool limited_ = false;
    double rate_ = 0;
    double capacity_ = 0;
    double capacity_max_ = 0;
    steady_time refilled_{};
    double measured_ = 0;
    std::int64_t measured_bucket_ = 0;  // half seconds
    std::int64_t count_ = 0;
    double last_max_ = 0;
    double window_seconds_ = 0;
    steady_time throttled_at_{};
};

}  // namespace hearth::aws
