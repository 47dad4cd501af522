#include "worker/intake_room.h"

#include <algorithm>

namespace hearth::worker {
namespace {

constexpr nanoseconds pace_min{1'000};
constexpr int pace_samples = 8;  // the weight of one job in the pace is an eighth

}  // namespace

std::size_t intake_room::ahead() const noexcept {
    if (pace_ == nanoseconds(0) || bytes_ >= bytes_max) {
        return 0;
    }
    const auto now = steady_clock::now();
    const double turns = static_cast<double>(nanoseconds(window).count());
    double begun = 0;  // within a window
    std::size_t places = concurrency_;
    for (const steady_time since : running_) {
        if (now - since <= pace_ || places == 0) {
            break;  // the rest began later
        }
        begun += turns / static_cast<double>(nanoseconds(now - since).count());
        --places;
    }
    begun += static_cast<double>(places) * turns / static_cast<double>(pace_.count());
    return static_cast<std::size_t>(std::min(begun, static_cast<double>(ahead_max)));
}

std::size_t intake_room::free() const noexcept {
    return limit() - std::min(limit(), in_hand_);
}

task<result<std::size_t>> intake_room::reserve(std::size_t most) {
    while (free() < (ahead() >= most ? most : 1)) {
        if (auto woken = co_await changed_.wait(); !woken) {
            co_return propagate(woken);
        }
    }
    const std::size_t taken = std::min(most, free());
    in_hand_ += taken;
    co_return taken;
}

void intake_room::arrived(std::size_t reserved, std::size_t count, std::size_t bytes) noexcept {
    in_hand_ -= reserved - count;
    bytes_ += bytes;
    changed_.notify_all();
}

void intake_room::left(std::size_t bytes) noexcept {
    --in_hand_;
    bytes_ -= bytes;
    changed_.notify_all();
}

void intake_room::end(running which, bool counts) noexcept {
    const nanoseconds time = steady_clock::now() - *which;
    running_.erase(which);
    if (counts) {
        const auto sample = std::max(time, pace_min);
        pace_ = pace_ == nanoseconds(0) ? sample : pace_ + (sample - pace_) / pace_samples;
    }
    changed_.notify_all();
}

}  // namespace hearth::worker
