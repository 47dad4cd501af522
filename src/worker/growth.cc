#include "worker/growth.h"

#include <algorithm>
#include <cmath>

namespace hearth::worker {

std::size_t sandboxes_to_start(const growth_state& now) noexcept {
    if (now.waiting == 0) {
        return 0;
    }
    const std::size_t live = now.running + now.starting;
    if (live == 0) {
        return 1;
    }
    const double service_ms = std::max(now.service_ms, now.longest_running_ms);
    const double work_ms = service_ms * static_cast<double>(now.waiting);
    if (work_ms <= now.start_ms * static_cast<double>(live)) {
        const bool pressed = now.pressed_ms >= pressed_ms_max && now.starting == 0;
        return pressed && live < per_processor * now.processors ? 1 : 0;
    }
    const double enough = std::ceil(work_ms / std::max(now.start_ms, 1.0));
    const auto more = enough - static_cast<double>(live);
    const auto most = static_cast<double>(now.waiting) - static_cast<double>(now.starting);
    return static_cast<std::size_t>(std::clamp(more, 0.0, std::max(most, 0.0)));
}

}  // namespace hearth::worker
