#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace hearth::faas {

// What a worker tells its controller with every heartbeat. docs/protocol.md, "Heartbeat".
struct worker_report {
    std::string id;       // one per start of the program; a well-formed id
    std::string host;     // for people: host name or instance id
    std::string version;  // of Hearth
    bool draining = false;
    std::int64_t sandboxes_max = 0;  // that can live at once
    std::int64_t sandboxes_busy = 0;
    std::int64_t sandboxes_idle = 0;
    std::int64_t calls_waiting = 0;
    std::int64_t memory_budget_mb = 0;
    std::int64_t memory_reserved_mb = 0;
    std::vector<std::string> warm_functions;  // ids with an idle sandbox
};

// What a controller knows of a worker by its reports.
struct worker_sighting {
    std::string id;
    milliseconds ago{0};   // since its last report, or its goodbye
    bool leaving = false;  // it drains, or said goodbye: it takes no more jobs
};

inline constexpr std::size_t worker_report_bytes_max = 128u << 10;
inline constexpr std::size_t warm_functions_max = 1'000;  // the others are left out of a report
inline constexpr std::size_t worker_text_bytes_max = 128;

[[nodiscard]] std::string to_json(const worker_report& report);
// errc::invalid_argument names the member that is missing, of the wrong type or out of range.
[[nodiscard]] result<worker_report> parse_worker_report(std::string_view text);

}  // namespace hearth::faas
