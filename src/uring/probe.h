#pragma once

#include <string>

#include "base/result.h"
#include "uring/kernel.h"

namespace hearth::uring {

// Turns a failed io_uring_setup into a message that names the cause and the remedy: old kernel, the
// io_uring_disabled sysctl, a container's seccomp profile, limits.
[[nodiscard]] std::unexpected<error> explain_setup_failure(int os_error);

// Checks that the kernel has every feature and operation that Hearth uses; names what is missing.
[[nodiscard]] result<> check_features(io_uring& kernel, unsigned features);

}  // namespace hearth::uring
