#include "controller_server.h"
#include "fleet_program.h"

namespace hearth {
namespace {

result<int> run(const fleet_command& command, const service_manager& manager) {
    auto read = read_controller_settings(command.settings);
    if (!read) {
        return propagate(read);
    }
    if (!command.check_config) {
        return run_controller(read->options, manager);
    }
    return check_config(read->options.fleet, read->values,
                        {.asking = aws::program::controller,
                         .references = std::move(read->references),
                         .publishes_backlog = read->options.publishes_backlog},
                        [](fleet_services&) { return std::vector<service_probe>{}; });
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
    return hearth::run_fleet_program({.name = "hearth-controller",
                                      .summary = "Serves the API of a Hearth fleet: functions, "
                                                 "calls, jobs and workers. Runs no function.",
                                      .settings_help = hearth::controller_settings_help(),
                                      .run = hearth::run},
                                     argc, argv);
}
