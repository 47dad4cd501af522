#include "fleet_settings.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "aws/references.h"
#include "base/concat.h"
#include "base/env_file.h"
#include "faas/function.h"
#include "fleet_setting_tables.h"
#include "groundwork.h"
#include "lane/frame.h"
#include "log_level.h"

namespace hearth {
namespace {

constexpr std::string_view aws_prefix = "AWS_";
constexpr seconds references_wait{30};  // for all that settings refer to

std::vector<setting> joined(std::span<const setting> first, std::span<const setting> second) {
    std::vector<setting> all(first.begin(), first.end());
    all.insert(all.end(), second.begin(), second.end());
    return all;
}

// The tables live for ever, as what was read refers to them.
const std::vector<setting>& controller_table() {
    static const auto table = joined(shared_setting_table(), controller_setting_table());
    return table;
}
const std::vector<setting>& worker_table() {
    static const auto table = joined(shared_setting_table(), worker_setting_table());
    return table;
}

// What AWS's own names are looked up in: they are too many to declare, and credentials among them
// change while a program runs.
aws::environment aws_environment(const std::string& file) {
    std::ifstream stream(file);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    // Its problems are settings::load()'s to tell.
    auto known = std::make_shared<const env_file>(parse_env_file(text));
    return [known, process = aws::process_environment()](std::string_view name) {
        auto value = process(name);
        const auto* in_file = name.starts_with(aws_prefix) ? known->find(name) : nullptr;
        if ((!value || value->empty()) && in_file != nullptr) {
            value = in_file->value;
        }
        return value;
    };
}

bool declares(std::span<const setting> table, std::string_view name) {
    return std::ranges::any_of(table, [&](const setting& each) {
        return name == each.name || (each.secret && name == concat(each.name, "_FILE"));
    });
}

void warn_of_unknown(const settings& read, const std::string& file) {
    for (const auto& name : read.unknown()) {
        if (!name.starts_with(aws_prefix) && !declares(controller_setting_table(), name) &&
            !declares(worker_setting_table(), name)) {
            log::warning("no program of Hearth has this setting", {{"name", name}, {"file", file}});
        }
    }
}

std::unexpected<error> problems_of(const std::vector<std::string>& problems) {
    std::string text = concat(problems.size(), problems.size() == 1 ? " problem" : " problems",
                              " with the settings; docs/fleet.md and --help have them all:");
    for (const auto& each : problems) {
        text += concat("\n  ", each);
    }
    return fail(errc::invalid_argument, std::move(text));
}

class reading {
public:
    reading(const std::vector<setting>& table, const settings_request& from)
        : environment_(aws_environment(from.file)) {
        setting_sources sources{
            .file = from.file, .file_required = from.file_required, .resolver = from.resolver};
        references_ = find_references(table, sources);
        if (!sources.resolver) {
            aws::resolve_references(table, sources, environment_, after(references_wait));
        }
        values_ = settings::load(table, sources);
        problems_ = values_.problems();
        warn_of_unknown(values_, from.file);
        auto aws = aws::settings::read(environment_);
        if (aws) {
            aws_ = std::move(*aws);
        } else {
            problems_.push_back(aws.error().message);
        }
    }

    void require_both(std::string_view first, std::string_view second) {
        if (values_.has(first) != values_.has(second)) {
            problems_.push_back(concat(first, " and ", second, ": set both or neither"));
        }
    }
    // Both would be bound, and the kernel would share the connections out among them.
    void require_different(std::string_view first, std::string_view second) {
        if (values_.has(first) && values_.integer(first) != 0 &&
            values_.integer(first) == values_.integer(second)) {
            problems_.push_back(concat(first, " and ", second, ": take two different ports"));
        }
    }
    // Whoever has the one must not have the other by that.
    void require_two_secrets(std::string_view first, std::string_view second) {
        if (values_.has(first) && values_.has(second) &&
            values_.text(first) == values_.text(second)) {
            problems_.push_back(concat(first, " and ", second,
                                       ": are the same; take two, as callers are not workers"));
        }
    }
    void require_at_most_one(std::string_view first, std::string_view second) {
        if (values_.has(first) && values_.has(second)) {
            problems_.push_back(concat(first, " and ", second, ": set one of them"));
        }
    }
    [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
    template <class Options>
    [[nodiscard]] read_settings<Options> finish(Options options) {
        return {std::move(options), std::move(values_), std::move(references_)};
    }

    // From here on only without problems.
    [[nodiscard]] fleet_options fleet() {
        log::set_level(level_named(text("HEARTH_LOG_LEVEL")));
        fleet_options out;
        out.environment = environment_;
        out.aws = *aws_;
        out.bucket = text("BUCKET_NAME");
        out.functions_table = text("TABLE_NAME");
        out.records_table = text("LOGS_TABLE_NAME");
        out.queue_url = text("SQS_URL");
        out.dead_letter_url = text("DLQ_URL");
        out.redis = redis::parse_endpoint(text("REDIS_HOST")).value();
        out.redis_authorities = text("REDIS_CA_FILE");
        out.outcome_ttl = std::chrono::ceil<seconds>(values_.duration("HEARTH_OUTCOME_TTL"));
        out.worker_token = text("WORKER_TOKEN");
        out.grace = seconds(number("HEARTH_GRACE_SECONDS"));
        return out;
    }
    [[nodiscard]] const std::string& text(std::string_view name) const {
        return values_.text(name);
    }
    [[nodiscard]] std::int64_t number(std::string_view name) const { return values_.integer(name); }
    [[nodiscard]] const settings& values() const { return values_; }

private:
    aws::environment environment_;
    settings values_;
    std::vector<secret_reference> references_;
    std::vector<std::string> problems_;
    std::optional<aws::settings> aws_;
};

std::string lane_address_of(const reading& from) {
    if (from.values().has("LANE_SOCKET")) {
        return from.text("LANE_SOCKET");
    }
    if (!from.values().has("LANE_PORT")) {
        return "";
    }
    const std::string& host = from.text("HEARTH_LISTEN");
    const bool v6 = host.contains(':');
    return concat(v6 ? "[" : "", host, v6 ? "]:" : ":", from.number("LANE_PORT"));
}

// As many of the smallest sandboxes as fit, unless it is set.
std::uint32_t lane_concurrency_of(const reading& from, const sandbox_options& sandboxes) {
    if (from.values().has("LANE_CONCURRENCY")) {
        return static_cast<std::uint32_t>(from.number("LANE_CONCURRENCY"));
    }
    const std::int64_t fitting =
        std::min<std::int64_t>(sandboxes.memory_budget_mb / faas::memory_mb_min, sandboxes.slots);
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(fitting, 1, lane::credits_max));
}

sandbox_options sandboxes_of(const reading& from) {
    sandbox_options out;
    out.parked = static_cast<std::uint32_t>(from.number("WARM_POOL_PYTHON_SIZE"));
    if (from.values().has("MAX_MEMORY_MB")) {
        out.memory_budget_mb = from.number("MAX_MEMORY_MB");
    }
    out.concurrency_max = static_cast<std::size_t>(from.number("HEARTH_CONCURRENCY"));
    out.slots = static_cast<std::uint32_t>(from.number("HEARTH_SLOTS"));
    out.shells = static_cast<std::uint32_t>(from.number("HEARTH_SHELLS"));
    for (const auto each : {sandbox::zygote_mode::off, sandbox::zygote_mode::shared,
                            sandbox::zygote_mode::per_function}) {
        if (from.text("HEARTH_ZYGOTE") == sandbox::name_of(each)) {
            out.zygote = each;
        }
    }
    out.zygote_modules = from.text("HEARTH_ZYGOTE_MODULES");
    out.idle_ttl = seconds(from.number("HEARTH_IDLE_TTL_SECONDS"));
    out.freeze_after = seconds(from.number("HEARTH_FREEZE_AFTER_SECONDS"));
    out.cpu_floor_millis = static_cast<std::uint32_t>(from.number("HEARTH_CPU_FLOOR_MILLIS"));
    out.allow_no_limits = from.values().boolean("HEARTH_ALLOW_NO_LIMITS");
    complete_sandbox_options(out);
    return out;
}

std::string described(std::span<const setting> table) {
    std::string out;
    for (const setting& each : table) {
        std::string notes = each.required ? "required" : "";
        if (!each.fallback.empty()) {
            notes = concat("default ", each.fallback);
        }
        if (each.secret) {
            notes += concat(notes.empty() ? "" : ", ", "or ", each.name, "_FILE");
        }
        out += concat("  ", each.name, notes.empty() ? "" : concat(" (", notes, ")"), "\n      ",
                      each.help, "\n");
    }
    return out;
}

std::string help_with(std::span<const setting> own) {
    return concat(
        "Settings, from the environment or from lines NAME=value of the file:\n", described(own),
        described(shared_setting_table()),
        "  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_ENDPOINT_URL_<SERVICE>, ...\n"
        "      as AWS's own tools read them; on EC2 the instance's role needs none of them\n");
}

}  // namespace

result<read_settings<controller_options>> read_controller_settings(const settings_request& from) {
    reading read(controller_table(), from);
    read.require_both("HEARTH_TLS_CERT", "HEARTH_TLS_KEY");
    read.require_at_most_one("LANE_PORT", "LANE_SOCKET");
    read.require_different("LANE_PORT", "PORT");
    read.require_two_secrets("INFRA_API_KEY", "WORKER_TOKEN");
    if (!read.problems().empty()) {
        return problems_of(read.problems());
    }
    controller_options out;
    out.fleet = read.fleet();
    out.fleet.door = {.listen = read.text("HEARTH_LISTEN"),
                      .port = static_cast<std::uint16_t>(read.number("PORT")),
                      .port_file = read.text("HEARTH_PORT_FILE"),
                      .threads = static_cast<std::size_t>(read.number("HEARTH_THREADS")),
                      .tls_certificate = read.text("HEARTH_TLS_CERT"),
                      .tls_key = read.text("HEARTH_TLS_KEY")};
    out.api_key = read.text("INFRA_API_KEY");
    out.rate_limit = read.number("HEARTH_RATE_LIMIT");
    out.rate_window = read.values().duration("HEARTH_RATE_WINDOW");
    out.rate_limit_fails_open = read.values().boolean("HEARTH_RATE_LIMIT_FAIL_OPEN");
    out.heartbeat_interval = read.values().duration("HEARTH_HEARTBEAT_INTERVAL");
    out.function_cache_time = read.values().duration("HEARTH_FUNCTION_CACHE_TIME");
    out.temporary_folder = read.text("HEARTH_TEMPORARY_FOLDER");
    out.code_grace = read.values().duration("HEARTH_CODE_GRACE");
    out.publishes_backlog = read.values().boolean("HEARTH_PUBLISH_BACKLOG");
    out.lane_address = lane_address_of(read);
    return read.finish(std::move(out));
}

result<read_settings<worker_program_options>> read_worker_settings(const settings_request& from) {
    reading read(worker_table(), from);
    if (!read.problems().empty()) {
        return problems_of(read.problems());
    }
    worker_program_options out;
    out.fleet = read.fleet();
    out.fleet.door = {.listen = read.text("HEARTH_WORKER_LISTEN"),
                      .port = static_cast<std::uint16_t>(read.number("HEARTH_WORKER_PORT")),
                      .port_file = read.text("HEARTH_WORKER_PORT_FILE")};
    out.controller_url = read.text("CONTROLLER_URL");
    while (out.controller_url.ends_with('/')) {
        out.controller_url.pop_back();
    }
    out.fleet.controller_authorities = read.text("CONTROLLER_CA_FILE");
    out.data_dir = read.text("HEARTH_DATA_DIR");
    if (out.data_dir.empty()) {
        out.data_dir = default_data_dir("hearth-worker");
    }
    out.sandboxes = sandboxes_of(read);
    out.job_concurrency = static_cast<std::size_t>(read.number("HEARTH_JOB_CONCURRENCY"));
    out.queue_wait = read.values().duration("HEARTH_QUEUE_WAIT");
    if (read.values().has("LANE_URL")) {
        out.lane = worker::parse_lane_endpoint(read.text("LANE_URL")).value();
    }
    out.lane_authorities = read.text("LANE_CA_FILE");
    out.lane_concurrency = lane_concurrency_of(read, out.sandboxes);
    out.code_cache_bytes = static_cast<std::size_t>(read.values().bytes("HEARTH_CODE_CACHE_SIZE"));
    return read.finish(std::move(out));
}

std::string controller_settings_help() {
    return help_with(controller_setting_table());
}
std::string worker_settings_help() {
    return help_with(worker_setting_table());
}

}  // namespace hearth
