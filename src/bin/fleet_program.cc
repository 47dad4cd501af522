#include "fleet_program.h"

#include <csignal>
#include <cstdio>
#include <optional>

#include <CLI/CLI.hpp>

#include "base/concat.h"
#include "base/log.h"
#include "service_watch.h"
#include "uring/ring.h"

namespace hearth {
namespace {

constexpr std::size_t check_threads = 2;
constexpr std::size_t check_queue_max = 16;
constexpr seconds extension_interval{5};

task<int> run_check(fleet_services& services, const fleet_options& options,
                    std::vector<service_probe> probes, rights_request rights) {
    services.start();
    const bool answered = co_await print_check(std::move(probes));
    std::printf("\n");
    const bool granted = co_await print_rights(services, options, std::move(rights));
    co_await services.stop();
    co_return answered&& granted ? 0 : 1;
}

void note(const result<>& sent) {
    if (!sent && sent.error().code != errc::limit_exceeded) {
        log::warning("the service manager cannot be told", {{"reason", sent.error().message}});
    }
}

// An exit status when there is nothing more to do: --help, --version, a mistake, which it has told.
std::optional<int> read_command_line(const fleet_program& program, int argc, char** argv,
                                     fleet_command& into) {
    CLI::App app(program.summary, program.name);
    app.set_version_flag("--version", concat(program.name, " " HEARTH_VERSION));
    auto* file = app.add_option("--env-file", into.settings.file,
                                "File of settings; the environment goes before it")
                     ->type_name("FILE")
                     ->capture_default_str();
    app.add_flag("--check-config", into.check_config,
                 "Print every setting and where it is from, ask each service, and end: 0 when all "
                 "is well");
    app.footer(program.settings_help +
               "\nSIGTERM drains and ends; SIGUSR1 writes the tree of waiting tasks to the log.\n"
               "docs/fleet.md has the whole story.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem);
    }
    into.settings.file_required = file->count() > 0;
    return std::nullopt;
}

}  // namespace

int run_fleet_program(const fleet_program& program, int argc, char** argv) {
    fleet_command command;
    if (const auto ended = read_command_line(program, argc, argv, command)) {
        return *ended;
    }
    // Whoever reads the log may leave; a lost line is no reason to end.
    ::signal(SIGPIPE, SIG_IGN);
    auto manager = service_manager::from_environment();
    const auto status = manager ? program.run(command, *manager) : result<int>(propagate(manager));
    if (!status) {
        std::fprintf(stderr, "%s: %s\n", program.name, status.error().message.c_str());
        return 1;
    }
    return *status;
}

result<int> check_config(const fleet_options& options, const settings& values,
                         rights_request rights,
                         const std::function<std::vector<service_probe>(fleet_services&)>& more) {
    std::printf("%s\n", values.table().c_str());
    auto ring = uring::ring::create();
    if (!ring) {
        return propagate(ring);
    }
    thread_pool blocking(check_threads, check_queue_max);
    auto services = fleet_services::create(options, blocking);
    if (!services) {
        return propagate(services);
    }
    auto probes = (*services)->probes();
    for (auto& each : more(**services)) {
        probes.push_back(std::move(each));
    }
    const int status =
        (*ring)->run(run_check(**services, options, std::move(probes), std::move(rights)));
    services->reset();
    return status;
}

task<void> feed_watchdog(const service_manager& manager) {
    const auto interval = manager.watchdog_interval();
    if (!interval) {
        co_return;
    }
    do {
        note(manager.watchdog());
    } while (co_await sleep_until(after(*interval)));
}

task<void> extend_stop(const service_manager& manager, deadline over) {
    do {
        note(manager.extend_timeout(2 * extension_interval));
    } while (steady_clock::now() < over && co_await sleep_until(after(extension_interval)));
}

}  // namespace hearth
