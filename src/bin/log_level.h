#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace hearth {

// The values of HEARTH_LOG_LEVEL.
[[nodiscard]] std::vector<std::string> log_level_names();
// One of those names.
[[nodiscard]] log::level level_named(std::string_view name);

}  // namespace hearth
