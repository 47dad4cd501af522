#pragma once

#include <cstddef>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "coro/wait_list.h"

namespace hearth::worker {

// How many jobs a worker has in hand: those that run at once, and ahead of them as many as it will
// begin within `window` at the pace of late. Short jobs then find their successors here, while a
// worker with long ones leaves the rest to others. Room is reserved before a poll and settled when
// its answer is there. Ring thread only.
class intake_room {
public:
    static constexpr milliseconds window{250};
    static constexpr std::size_t ahead_max = 100;
    // Of the events in hand. Nothing is taken ahead beyond that.
    static constexpr std::size_t bytes_max = 16u << 20;

    explicit intake_room(std::size_t concurrency) noexcept : concurrency_(concurrency) {}

    // Waits for room and takes 1 to `most` of it; errc::cancelled when stopped. Where jobs are
    // short enough to be taken ahead it waits for room for `most`: that costs fewer requests.
    task<result<std::size_t>> reserve(std::size_t most);
    // Of `reserved` so many came, with events of so many bytes; the rest is free again.
    void arrived(std::size_t reserved, std::size_t count, std::size_t bytes) noexcept;
    void left(std::size_t bytes) noexcept;
    // One job's time at work.
    void ran_for(nanoseconds time) noexcept;

    [[nodiscard]] std::size_t limit() const noexcept { return concurrency_ + ahead(); }
    [[nodiscard]] std::size_t in_hand() const noexcept { return in_hand_; }

private:
    [[nodiscard]] std::size_t ahead() const noexcept;
    [[nodiscard]] std::size_t free() const noexcept;

    std::size_t concurrency_;
    std::size_t in_hand_ = 0;  // reserved or arrived
    std::size_t bytes_ = 0;
    nanoseconds pace_{0};  // 0: nothing has run yet
    wait_list changed_;
};

}  // namespace hearth::worker
