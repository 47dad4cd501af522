#include <cstdio>

#include "fleet_program.h"
#include "worker_server.h"

namespace {

int told(const hearth::error& why) {
    std::fprintf(stderr, "hearth-worker: %s\n", why.message.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    hearth::fleet_command command;
    const auto ended = hearth::read_command_line(
        argc, argv, "hearth-worker",
        "Takes the jobs of a Hearth fleet off its queue and runs them in sandboxes on this host.",
        hearth::worker_settings_help(), command);
    if (ended) {
        return *ended;
    }
    const auto manager = hearth::service_manager::from_environment();
    if (!manager) {
        return told(manager.error());
    }
    auto read = hearth::read_worker_settings(command.settings);
    if (!read) {
        return told(read.error());
    }
    const auto& options = read->options;
    const auto more = [&options](hearth::fleet_services& services) {
        std::vector probes{hearth::controller_probe(services.controller_web(), options)};
        if (options.lane) {
            probes.push_back(hearth::lane_probe(options));
        }
        return probes;
    };
    const auto status = command.check_config
                            ? hearth::check_config(options.fleet, read->values,
                                                   {.asking = hearth::aws::program::worker,
                                                    .references = std::move(read->references)},
                                                   more)
                            : hearth::run_worker(options, *manager);
    return status ? *status : told(status.error());
}
