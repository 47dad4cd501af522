#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/load/load.h"
#include "bench/load/options.h"
#include "bench/load/server_metrics.h"

namespace hearth::bench {

// A part of what a call went through, as the server counted it between two readings.
struct stage_row {
    std::string name;
    stage figures;
};

struct report {
    options chosen;
    measured client;
    std::vector<stage_row> stages;  // the outermost first; empty without /metrics
    double cold_starts = 0;         // counted by the server
    double ring_enters = 0;         // of the server's event loops: system calls
    double ring_submissions = 0;    // operations handed to the kernel with them
};

// Joins in what the server counted meanwhile.
void add_stages(report& into, const server_metrics& before, const server_metrics& later);

[[nodiscard]] std::string to_table(const report& from);
[[nodiscard]] std::string to_json(const report& from);
// The latency below which each share of calls lies, as a stand-alone SVG; its axis stretches
// towards 100 %, where it matters.
[[nodiscard]] std::string to_svg(const report& from);

// What one line about the run says: "closed loop, 16 connections, 1 thread".
[[nodiscard]] std::string describe(const options& chosen);

}  // namespace hearth::bench
