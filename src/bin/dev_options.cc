#include "dev_options.h"

#include <array>
#include <chrono>
#include <map>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"
#include "groundwork.h"
#include "log_level.h"

namespace hearth {
namespace {

constexpr std::uint64_t recycle_calls_max = 1'000'000'000'000;  // as good as never

std::string random_key() {
    std::array<std::byte, 16> bytes;
    random_bytes(bytes);
    return to_hex(bytes);
}

void add_seconds(CLI::App& command, const std::string& name, seconds& into,
                 const std::string& variable, const std::string& help) {
    command
        .add_option_function<std::int64_t>(
            name, [&into](const std::int64_t& count) { into = seconds(count); }, help)
        ->envname(variable)
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{86'400}))
        ->type_name("SECONDS")
        ->default_str(std::to_string(into.count()));
}

// The type of the limits is what --help says of the option.
template <class Number, class Limit>
void add_number(CLI::App& command, const std::string& name, Number& into,
                const std::string& variable, Limit minimum, Limit maximum,
                const std::string& help) {
    command.add_option(name, into, help)
        ->envname(variable)
        ->check(CLI::Range(minimum, maximum))
        ->capture_default_str();
}

void add_zygote_mode(CLI::App& command, sandbox_options& into) {
    using sandbox::zygote_mode;
    std::map<std::string, zygote_mode> modes;
    std::vector<std::string> names;
    for (const auto each : {zygote_mode::off, zygote_mode::shared, zygote_mode::per_function}) {
        modes.emplace(name_of(each), each);
        names.emplace_back(name_of(each));
    }
    command
        .add_option_function<std::string>(
            "--zygote", [&into, modes](const std::string& name) { into.zygote = modes.at(name); },
            "Fork Python from one that is shared by all functions (shared), from one for each "
            "function (per-function), or execute it (off)")
        ->envname("HEARTH_ZYGOTE")
        ->check(CLI::IsMember(std::move(names)))
        ->default_str(std::string(name_of(into.zygote)));
    add_number(command, "--zygote-spares", into.zygote_spares, "HEARTH_ZYGOTE_SPARES", 0U,
               sandbox::zygote_spares_max,
               "per-function: how many wait for a function that has none yet");
    add_number(command, "--zygote-functions", into.zygote_functions, "HEARTH_ZYGOTE_FUNCTIONS", 1U,
               sandbox::zygote_functions_max,
               "per-function: functions that have one of their own at most");
    command
        .add_option_function<std::uint32_t>(
            "--zygote-idle-seconds",
            [&into](const std::uint32_t& count) { into.zygote_idle = seconds(count); },
            "per-function: how long a function that has no sandbox keeps its own")
        ->envname("HEARTH_ZYGOTE_IDLE_SECONDS")
        ->check(CLI::Range(1U, sandbox::zygote_idle_seconds_max))
        ->default_str(std::to_string(into.zygote_idle.count()));
}

void add_zygote_options(CLI::App& command, sandbox_options& into) {
    add_zygote_mode(command, into);
    add_number(command, "--zygote-forks", into.zygote_forks, "HEARTH_ZYGOTE_FORKS", 1U,
               sandbox::zygote_forks_max,
               "Sandboxes after which the Python that they are forked from is replaced");
    add_number(command, "--zygote-minutes", into.zygote_minutes, "HEARTH_ZYGOTE_MINUTES", 1U,
               sandbox::zygote_minutes_max, "Minutes after which it is");
    command
        .add_option("--zygote-modules", into.zygote_modules,
                    "Installed modules to import ahead for all functions, with commas")
        ->envname("HEARTH_ZYGOTE_MODULES");
    command
        .add_option("--numpy-modules", into.numpy_modules,
                    "The same for those of the runtime python-numpy; empty: no such zygote")
        ->envname("HEARTH_NUMPY_MODULES")
        ->capture_default_str();
}

void add_sandbox_options(CLI::App& command, sandbox_options& into) {
    add_seconds(command, "--idle-ttl", into.idle_ttl, "HEARTH_IDLE_TTL_SECONDS",
                "How long a sandbox stays warm without a call");
    add_seconds(command, "--freeze-after", into.freeze_after, "HEARTH_FREEZE_AFTER_SECONDS",
                "How long an idle sandbox's processes go on running; 0 never stops them");
    add_number(command, "--recycle-calls", into.recycle_calls, "HEARTH_RECYCLE_CALLS",
               std::uint64_t{1}, recycle_calls_max, "Calls after which a sandbox is replaced");
    add_seconds(command, "--recycle-age", into.recycle_age, "HEARTH_RECYCLE_AGE_SECONDS",
                "Age at which a sandbox is replaced after its call");
    add_number(command, "--cpu-floor", into.cpu_floor_millis, "HEARTH_CPU_FLOOR_MILLIS",
               sandbox::cpu_millis_min, sandbox::cpu_millis_max,
               "The least CPU that a function may use, in thousandths of a processor; beyond "
               "it memoryMb / 1769 processors");
    command
        .add_option("--parked", into.parked,
                    "Sandboxes that wait ready for a function; one for each 96 MB of the memory "
                    "budget, 4 to 192, unless set; 4 where functions share no zygote")
        ->envname("HEARTH_PARKED")
        ->check(CLI::Range(0U, sandbox::parked_max));
    add_number(command, "--shells", into.shells, "HEARTH_SHELLS", 0U, sandbox::shells_max,
               "Sandboxes that wait ready but for Python");
    add_zygote_options(command, into);
    add_number(command, "--slots", into.slots, "HEARTH_SLOTS", 1U, sandbox::slots_max,
               "Sandboxes that can live at once");
    command.add_flag("--allow-no-limits", into.allow_no_limits,
                     "Start even where the kernel cannot limit memory and processes");
}

}  // namespace

void add_dev_options(CLI::App& command, dev_options& into) {
    command.add_option("--listen", into.entrance.listen, "Numeric address to listen on")
        ->envname("HEARTH_LISTEN")
        ->type_name("ADDRESS")
        ->capture_default_str();
    command.add_option("--port", into.entrance.port, "Port to listen on; 0 takes a free one")
        ->envname("PORT")
        ->capture_default_str();
    command.add_option("--port-file", into.entrance.port_file,
                       "File that receives the port once the server listens");
    command
        .add_option("--data-dir", into.data_dir,
                    "Folder for functions, code, jobs and records "
                    "[/var/lib/hearth for root, ~/.local/share/hearth otherwise]")
        ->envname("HEARTH_DATA_DIR");
    command
        .add_option("--api-key", into.api_key,
                    "Key that callers send; a random one is made and printed when it is missing. "
                    "Others can see an option: prefer the variable")
        ->envname("INFRA_API_KEY");
    add_number(command, "--threads", into.entrance.threads, "HEARTH_THREADS", 1, 64,
               "Threads that serve connections, one ring each");
    command
        .add_option("--memory-budget", into.sandboxes.memory_budget_mb,
                    "For all sandboxes together, in MB [three quarters of the host's]")
        ->envname("HEARTH_MEMORY_BUDGET_MB");
    add_number(command, "--concurrency", into.sandboxes.concurrency_max, "HEARTH_CONCURRENCY", 1,
               1000, "Sandboxes of one function at most");
    add_number(command, "--jobs", into.job_concurrency, "HEARTH_JOB_CONCURRENCY", 1, 1000,
               "Jobs that run at once");
    add_number(command, "--rate-limit", into.rate_limit_per_minute, "HEARTH_RATE_LIMIT_PER_MINUTE",
               0, 1'000'000, "Requests per minute and client address; 0 is no limit");
    add_seconds(command, "--grace", into.grace, "HEARTH_GRACE_SECONDS",
                "How long running calls may finish after SIGTERM");
    add_sandbox_options(command, into.sandboxes);
    command.add_option("--log-level", into.log_level, "debug, info, warning or error")
        ->envname("HEARTH_LOG_LEVEL")
        ->check(CLI::IsMember(log_level_names()))
        ->capture_default_str();
    command
        .add_option("--tls-cert", into.entrance.tls_certificate, "PEM certificate chain: serve TLS")
        ->envname("HEARTH_TLS_CERT");
    command.add_option("--tls-key", into.entrance.tls_key, "PEM key of that certificate")
        ->envname("HEARTH_TLS_KEY");
}

result<> complete_dev_options(dev_options& options) {
    std::string problems;
    if (options.entrance.tls_certificate.empty() != options.entrance.tls_key.empty()) {
        problems += "\n  HEARTH_TLS_CERT and HEARTH_TLS_KEY: set both or neither";
    }
    if (options.sandboxes.memory_budget_mb != 0 &&
        options.sandboxes.memory_budget_mb < memory_budget_mb_min) {
        problems += concat("\n  --memory-budget: at least ", memory_budget_mb_min);
    }
    if (!problems.empty()) {
        return fail(errc::invalid_argument, "settings:" + problems);
    }
    complete_sandbox_options(options.sandboxes);
    if (options.data_dir.empty()) {
        options.data_dir = default_data_dir("hearth");
    }
    if (options.api_key.empty()) {
        options.api_key = random_key();
        std::fprintf(stderr, "No API key was set; for this run it is %s\n",
                     options.api_key.c_str());
    }
    log::set_level(level_named(options.log_level));
    return {};
}

}  // namespace hearth
