#include "worker/start_backoff.h"

#include <algorithm>

#include "base/concat.h"

namespace hearth::worker {

void start_backoff::failed(steady_time now, std::string why) {
    why_ = std::move(why);
    last_failure_ = now;
    if (++failures_ < failures_free) {
        return;
    }
    constexpr std::uint32_t doublings_max = 16;  // far beyond pause_max, far below an overflow
    const std::uint32_t doublings = std::min(failures_ - failures_free, doublings_max);
    retry_at_ = now + std::min(pause_first * (std::int64_t{1} << doublings), pause_max);
}

void start_backoff::succeeded() {
    *this = start_backoff();
}

milliseconds start_backoff::wait_left(steady_time now) const noexcept {
    return std::max(std::chrono::ceil<milliseconds>(retry_at_ - now), milliseconds(0));
}

std::string start_backoff::message(steady_time now) const {
    constexpr std::int64_t ms_per_s = 1'000;
    const std::int64_t seconds_left = (wait_left(now).count() + ms_per_s - 1) / ms_per_s;
    return concat("its sandbox failed to start ", failures_, " times in a row, last with: ", why_,
                  "; call again in ", seconds_left,
                  " s, or update the function to have it tried at once");
}

}  // namespace hearth::worker
