#pragma once

#include <span>

#include "base/settings.h"

namespace hearth {

// The tables of docs/fleet.md, "Settings", in its order. Private to fleet_settings.cc.
[[nodiscard]] std::span<const setting> shared_setting_table();
[[nodiscard]] std::span<const setting> controller_setting_table();
[[nodiscard]] std::span<const setting> worker_setting_table();

}  // namespace hearth
