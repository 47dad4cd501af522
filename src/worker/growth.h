#pragma once

#include <cstddef>

namespace hearth::worker {

// How one function's sandboxes and callers stand when nobody is idle.
struct growth_state {
    std::size_t waiting = 0;        // calls without a sandbox
    std::size_t running = 0;        // sandboxes with a call
    std::size_t starting = 0;       // sandboxes on their way
    double service_ms = 0;          // recent mean of a call; 0: none has ended yet
    double longest_running_ms = 0;  // of the calls that run now: a lower bound for service_ms
    double start_ms = 0;            // recent mean of a start
    double pressed_ms = 0;          // how long there was always somebody waiting
    std::size_t processors = 1;     // of the host
};

// Somebody waited all the time: the line is short because callers come as fast as they are served.
inline constexpr double pressed_ms_max = 50;
// So many sandboxes keep a processor busy: one computes while the other's answer is on its way.
inline constexpr std::size_t per_processor = 2;

// How many sandboxes to start now. One that starts helps only after start_ms, so none is started
// where the present ones will have served everybody by then: a burst of first calls to a fast
// function shares one sandbox, a slow function gets as many as shorten its queue to one start's
// time. Where the queue stays short and yet does not end, one more at a time, as long as there are
// processors that it could use. Never more than calls wait.
[[nodiscard]] std::size_t sandboxes_to_start(const growth_state& now) noexcept;

}  // namespace hearth::worker
