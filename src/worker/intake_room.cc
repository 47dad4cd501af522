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
    const auto turns = static_cast<std::size_t>(nanoseconds(window) / pace_);
    return std::min(ahead_max, concurrency_ * turns);
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

void intake_room::ran_for(nanoseconds time) noexcept {
    const auto sample = std::max(time, pace_min);
    pace_ = pace_ == nanoseconds(0) ? sample : pace_ + (sample - pace_) / pace_samples;
    changed_.notify_all();
}

}  // namespace hearth::worker
