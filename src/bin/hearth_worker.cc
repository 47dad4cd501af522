#include "fleet_program.h"
#include "worker_server.h"

namespace hearth {
namespace {

result<int> run(const fleet_command& command, const service_manager& manager) {
    auto read = read_worker_settings(command.settings);
    if (!read) {
        return propagate(read);
    }
    const auto& options = read->options;
    if (!command.check_config) {
        return run_worker(options, manager);
    }
    return check_config(
        options.fleet, read->values,
        {.asking = aws::program::worker, .references = std::move(read->references)},
        [&options](fleet_services& services) {
            std::vector probes{controller_probe(services.controller_web(), options)};
            if (options.lane) {
                probes.push_back(lane_probe(options));
            }
            return probes;
        });
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
    return hearth::run_fleet_program({.name = "hearth-worker",
                                      .summary = "Takes the jobs of a Hearth fleet off its queue "
                                                 "and runs them in sandboxes on this host.",
                                      .settings_help = hearth::worker_settings_help(),
                                      .run = hearth::run},
                                     argc, argv);
}
