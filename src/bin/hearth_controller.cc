#include <cstdio>

#include "controller_server.h"
#include "fleet_program.h"

namespace {

int told(const hearth::error& why) {
    std::fprintf(stderr, "hearth-controller: %s\n", why.message.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    hearth::fleet_command command;
    const auto ended = hearth::read_command_line(
        argc, argv, "hearth-controller",
        "Serves the API of a Hearth fleet: functions, calls, jobs and workers. Runs no function.",
        hearth::controller_settings_help(), command);
    if (ended) {
        return *ended;
    }
    const auto manager = hearth::service_manager::from_environment();
    if (!manager) {
        return told(manager.error());
    }
    auto read = hearth::read_controller_settings(command.settings);
    if (!read) {
        return told(read.error());
    }
    const auto status =
        command.check_config
            ? hearth::check_config(
                  read->options.fleet, read->values,
                  {.asking = hearth::aws::program::controller,
                   .references = std::move(read->references),
                   .publishes_backlog = read->options.publishes_backlog},
                  [](hearth::fleet_services&) { return std::vector<hearth::service_probe>{}; })
            : hearth::run_controller(read->options, *manager);
    return status ? *status : told(status.error());
}
