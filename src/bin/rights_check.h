#pragma once

#include <vector>

#include "aws/probes.h"
#include "base/settings.h"
#include "fleet_services.h"

namespace hearth {

struct rights_request {
    aws::program asking = aws::program::worker;
    std::vector<secret_reference> references;
    bool publishes_backlog = false;
};

// The second table of --check-config on standard output: each right that the program needs
// (docs/fleet.md, "Rights"), and whether it has it. True when none is missing. `services` runs.
task<bool> print_rights(fleet_services& services, const fleet_options& options,
                        rights_request what);

}  // namespace hearth
