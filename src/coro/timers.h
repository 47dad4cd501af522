#pragma once

#include <cstddef>
#include <vector>

#include "base/clock.h"

namespace hearth {

// A point in time at which on_timer() is called once. It lives in the object that waits (usually a
// coroutine frame); destroying it disarms it.
class timer {
public:
    timer() noexcept = default;
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;

    [[nodiscard]] bool armed() const noexcept { return queue_ != nullptr; }
    void disarm() noexcept;

protected:
    ~timer() { disarm(); }
    virtual void on_timer() noexcept = 0;

private:
    friend class timer_queue;
    class timer_queue* queue_ = nullptr;
    std::size_t index_ = 0;
    deadline due_ = never;
};

// The timers of one event loop, a binary heap that knows each timer's place: arming and disarming
// are O(log n) and cost no system call; the loop passes the earliest one to its wait.
// Single-threaded.
class timer_queue {
public:
    ~timer_queue();

    // `due == never` leaves the timer unarmed. An armed timer is moved.
    void arm(timer& which, deadline due);
    // Calls on_timer() of every timer due at `now`, earliest first; returns how many.
    std::size_t expire(steady_time now);

    [[nodiscard]] deadline next_due() const noexcept {
        return heap_.empty() ? never : heap_.front()->due_;
    }
    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }

private:
    friend class timer;
    void remove(timer& which) noexcept;
    void place(std::size_t index, timer* which) noexcept;
    void sift_up(std::size_t index) noexcept;
    void sift_down(std::size_t index) noexcept;

    std::vector<timer*> heap_;
};

}  // namespace hearth
