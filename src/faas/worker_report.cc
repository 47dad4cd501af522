#include "faas/worker_report.h"

#include <array>
#include <utility>

#include "base/concat.h"
#include "base/ids.h"
#include "base/json.h"

namespace hearth::faas {
namespace {

using number_member = std::pair<std::string_view, std::int64_t worker_report::*>;
constexpr std::array numbers{
    number_member{"sandboxesMax", &worker_report::sandboxes_max},
    number_member{"sandboxesBusy", &worker_report::sandboxes_busy},
    number_member{"sandboxesIdle", &worker_report::sandboxes_idle},
    number_member{"callsWaiting", &worker_report::calls_waiting},
    number_member{"memoryBudgetMb", &worker_report::memory_budget_mb},
    number_member{"memoryReservedMb", &worker_report::memory_reserved_mb},
};

std::unexpected<error> wrong(std::string_view member, std::string_view what) {
    return fail(errc::invalid_argument, concat("Invalid ", member, ". ", what));
}

result<> parse_warm(simdjson::dom::element root, worker_report& into) {
    simdjson::dom::array warm;
    if (root["warmFunctions"].get(warm) != simdjson::SUCCESS || warm.size() > warm_functions_max) {
        return wrong("warmFunctions",
                     concat("Must be an array of at most ", warm_functions_max, " ids."));
    }
    for (const auto each : warm) {
        std::string_view id;
        if (each.get(id) != simdjson::SUCCESS || !is_well_formed_id(id)) {
            return wrong("warmFunctions", "Must hold ids.");
        }
        into.warm_functions.emplace_back(id);
    }
    return {};
}

}  // namespace

std::string to_json(const worker_report& report) {
    json::writer out;
    out.begin_object();
    out.member("id", report.id);
    out.member("host", report.host);
    out.member("version", report.version);
    out.member("draining", report.draining);
    for (const auto& [name, member] : numbers) {
        out.member(name, report.*member);
    }
    out.begin_array("warmFunctions");
    for (std::size_t i = 0; i < report.warm_functions.size() && i < warm_functions_max; ++i) {
        out.value(report.warm_functions[i]);
    }
    out.end_array();
    out.end_object();
    return std::move(out).take();
}

result<worker_report> parse_worker_report(std::string_view text) {
    auto parsed = json::document::parse(text);
    if (!parsed) {
        return propagate(parsed);
    }
    const auto root = parsed->root();
    if (!root.is_object()) {
        return fail(errc::invalid_argument, "The body must be a JSON object.");
    }
    worker_report report;
    std::string_view id;
    if (root["id"].get(id) != simdjson::SUCCESS || !is_well_formed_id(id)) {
        return wrong("id", "Must be 1 to 64 characters of A-Z a-z 0-9 . _ -");
    }
    report.id = id;
    for (const auto& [name, into] : {std::pair{std::string_view("host"), &report.host},
                                     std::pair{std::string_view("version"), &report.version}}) {
        std::string_view value;
        if (root[name].get(value) != simdjson::SUCCESS || value.size() > worker_text_bytes_max) {
            return wrong(name,
                         concat("Must be text of at most ", worker_text_bytes_max, " bytes."));
        }
        *into = value;
    }
    if (root["draining"].get(report.draining) != simdjson::SUCCESS) {
        return wrong("draining", "Must be true or false.");
    }
    for (const auto& [name, member] : numbers) {
        if (root[name].get(report.*member) != simdjson::SUCCESS || report.*member < 0) {
            return wrong(name, "Must be a whole number, not negative.");
        }
    }
    auto warm = parse_warm(root, report);
    if (!warm) {
        return propagate(warm);
    }
    return report;
}

}  // namespace hearth::faas
