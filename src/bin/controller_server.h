#pragma once

#include "base/result.h"
#include "base/service_manager.h"
#include "fleet_settings.h"

namespace hearth {

// hearth-controller: the HTTP API and the registries of a fleet; it runs no function. Serves until
// SIGTERM or SIGINT, then drains. Returns the exit status; an error is a start that failed, with
// its remedy.
[[nodiscard]] result<int> run_controller(const controller_options& options,
                                         const service_manager& manager);

}  // namespace hearth
