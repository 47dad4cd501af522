#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace hearth::worker {

// Of one revision of a function. Sandboxes that die while they start, or whose import fails, are
// not started over and over: from the fifth failure in a row on a pause follows, doubled each time.
// When it has passed one start is tried; its success ends all this. An update of the function makes
// a new revision, which begins without a pause. Pure; ring thread only.
class start_backoff {
public:
    static constexpr std::uint32_t failures_free = 5;
    static constexpr milliseconds pause_first{1'000};
    static constexpr milliseconds pause_max{60'000};
    static constexpr seconds memory{600};  // without a further failure

    void failed(steady_time now, std::string why);
    void succeeded();

    [[nodiscard]] bool must_wait(steady_time now) const noexcept { return now < retry_at_; }
    // While true, one start at a time: a burst of calls must not become a burst of dying sandboxes.
    [[nodiscard]] bool is_probing() const noexcept { return failures_ >= failures_free; }
    [[nodiscard]] milliseconds wait_left(steady_time now) const noexcept;
    [[nodiscard]] std::uint32_t failures() const noexcept { return failures_; }
    // For whoever calls meanwhile: how often, the last reason, when to come back.
    [[nodiscard]] std::string message(steady_time now) const;
    [[nodiscard]] bool is_clear() const noexcept { return failures_ == 0; }
    [[nodiscard]] steady_time forgotten_at() const noexcept { return last_failure_ + memory; }
    // Nothing that is worth keeping for a function without sandboxes.
    [[nodiscard]] bool is_over(steady_time now) const noexcept {
        return is_clear() || now >= forgotten_at();
    }

private:
    std::uint32_t failures_ = 0;  // in a row
    steady_time last_failure_;
    steady_time retry_at_;
    std::string why_;
};

}  // namespace hearth::worker
