#pragma once

#include "base/result.h"
#include "dev_options.h"

namespace hearth {

// `hearth dev`: controller and worker in one process tree on the embedded backends. Serves until
// SIGTERM or SIGINT, then drains. Returns the exit status; an error is a start that failed, with
// its remedy.
[[nodiscard]] result<int> run_dev_server(dev_options options);

}  // namespace hearth
