#pragma once

#include <cstdint>

namespace hearth::worker {

// Which idle sandbox to end when room is needed: Greedy-Dual-Size-Frequency, as FaasCache uses it
// for keeping functions alive (A. Fuerst, P. Sharma: FaasCache, ASPLOS 2021, section 4.1):
//
//     priority = clock + frequency * cost / size
//
// The one with the lowest priority goes, and the clock rises to that priority, so that what is not
// called any more ages against whatever is. Compared with the least recently used one, it keeps
// what is called often, is slow to start, and needs little room. Pure; any thread, one at a time.
class greedy_dual {
public:
    struct worth {
        std::uint64_t calls = 0;   // of the function since it last had no sandbox
        double start_ms = 0;       // what it costs to have it back
        std::int64_t size_mb = 1;  // of the budget; at least 1
    };

    // To be taken at each use; it does not change until the next.
    [[nodiscard]] double priority_of(const worth& of) const noexcept;
    // The sandbox with this priority, the lowest, was ended to make room.
    void evicted(double priority) noexcept;
    [[nodiscard]] double clock() const noexcept { return clock_; }

private:
    double clock_ = 0;
};

}  // namespace hearth::worker
