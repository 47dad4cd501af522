#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/clock.h"

namespace hearth::ctrl {

// What a stranger can bring about as often as it likes must not fill the log: some lines go at
// once, then one in an interval. Pure but for the time that it is given. One thread.
class log_throttle {
public:
    static constexpr std::uint32_t burst = 20;
    static constexpr seconds interval{10};

    // How many lines were left out since the last one; nothing when this one is to be left out,
    // too.
    [[nodiscard]] std::optional<std::uint64_t> admit(steady_time now) noexcept {
        const steady_time paid_until = std::max(paid_until_, now) + interval;
        if (paid_until - now > burst * interval) {
            ++suppressed_;
            return std::nullopt;
        }
        paid_until_ = paid_until;
        return std::exchange(suppressed_, 0);
    }

private:
    steady_time paid_until_;  // each line pays for an interval, `burst` of them ahead
    std::uint64_t suppressed_ = 0;
};

}  // namespace hearth::ctrl
