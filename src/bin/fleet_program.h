#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/service_manager.h"
#include "coro/event.h"
#include "fleet_services.h"
#include "fleet_settings.h"
#include "rights_check.h"

namespace hearth {

// What hearth-controller and hearth-worker are asked on the command line.
struct fleet_command {
    settings_request settings;
    bool check_config = false;
};

struct fleet_program {
    const char* name;
    const char* summary;
    std::string settings_help;
    // What it does when the command line asks for more than --help: the exit status.
    std::function<result<int>(const fleet_command&, const service_manager&)> run;
};

// The whole of a main. What goes wrong it tells on stderr.
[[nodiscard]] int run_fleet_program(const fleet_program& program, int argc, char** argv);

// --check-config: the settings with their sources, then every service, asked. `more` gives further
// probes; then every right that `rights` says. 0 when all is well, 1 otherwise.
[[nodiscard]] result<int> check_config(
    const fleet_options& options, const settings& values, rights_request rights,
    const std::function<std::vector<service_probe>(fleet_services&)>& more);

// Tells the service manager that this process is alive, as often as it wants to hear it. The event
// loop that runs it is what is watched. Until stopped; ends at once without a watchdog.
task<void> feed_watchdog(const service_manager& manager);

// While the process ends: asks for more time, so that a stop timeout shorter than the grace does
// not cut it off. Until stopped or `over`.
task<void> extend_stop(const service_manager& manager, deadline over);

}  // namespace hearth
