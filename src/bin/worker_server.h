#pragma once

#include "base/result.h"
#include "base/service_manager.h"
#include "fleet_services.h"
#include "fleet_settings.h"

namespace hearth {

// hearth-worker: takes jobs off the queue and runs them in sandboxes. Works until SIGTERM or
// SIGINT, then drains. Returns the exit status; an error is a start that failed, with its remedy.
[[nodiscard]] result<int> run_worker(const worker_program_options& options,
                                     const service_manager& manager);

// Whether CONTROLLER_URL is a controller that knows this WORKER_TOKEN. Both outlive it.
[[nodiscard]] service_probe controller_probe(http::client& web,
                                             const worker_program_options& options);

// Whether LANE_URL, which is set, is a controller's lane that takes this WORKER_TOKEN. `options`
// outlives it.
[[nodiscard]] service_probe lane_probe(const worker_program_options& options);

}  // namespace hearth
