#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "bench/load/arrivals.h"
#include "bench/load/histogram.h"
#include "bench/load/workload.h"

namespace hearth::bench {

inline constexpr unsigned connections_max = 50'000;
inline constexpr unsigned threads_max = 64;

// How the workload is put on the server.
struct load_plan {
    std::string address;       // as net::connect_stream takes it
    unsigned connections = 1;  // in all, at least one a thread
    unsigned threads = 1;      // each with a ring of its own
    // Calls per second in all, sent when they are due (open loop); 0: each connection sends as soon
    // as it has an answer (closed loop).
    double rate = 0;
    arrivals::spacing spacing = arrivals::spacing::even;
    std::uint64_t calls_max = 0;  // in all, at least one a thread; 0: no bound
    bool keep_alive = true;       // else a connection for each call
    nanoseconds duration{};
    nanoseconds timeout{};  // of one call, from its sending
    std::uint64_t seed = 1;
};

// What came of it. Latencies are those of good answers, in nanoseconds.
struct measured {
    histogram from_due;   // from the moment that the call was due; closed loop: as below
    histogram from_sent;  // from its sending: what a client that waits its turn would see
    std::map<int, std::uint64_t> statuses;        // of answers
    std::map<std::string, std::uint64_t> errors;  // calls without a good answer, by reason
    std::uint64_t good_in_time = 0;               // good answers before the plan's end
    std::uint64_t not_sent = 0;                   // due, but no connection became free in time
    std::uint64_t connects = 0;
    std::uint64_t bytes_received = 0;
    double seconds = 0;

    void add(const measured& other);
    [[nodiscard]] double per_second() const {
        return seconds > 0 ? static_cast<double>(good_in_time) / seconds : 0;
    }
};

// Blocks until the load has been put on the server. Fails only where a thread has no ring; what the
// server does is in the figures.
[[nodiscard]] result<measured> run_load(const load_plan& plan, const workload& what);

}  // namespace hearth::bench
