#pragma once

#include "sandbox/contain.h"

namespace hearth::sandbox {

// The descriptor table of a sandbox: 0 /dev/null, 1 and 2 the output pipe, 3 the control stream.
// Init keeps one more, and contain() another until its end; both are close-on-exec.
inline constexpr int control_descriptor = 3;
inline constexpr int status_descriptor = 4;
inline constexpr int parent_descriptor = 5;

// Moves the plan's descriptors to their numbers and closes everything else; updates
// plan.init.status. Runs in the child after pivot_root (0 is the sandbox's own /dev/null); false
// with errno set on failure.
[[nodiscard]] bool arrange_descriptors(containment& plan) noexcept;

}  // namespace hearth::sandbox
