#pragma once

#include <vector>

#include <linux/filter.h>

#include "base/result.h"

// Seccomp programs. Compiling takes about a millisecond and allocates, so it is done once in
// sandboxd; a child only hands the finished instructions to the kernel.

namespace hearth::sandbox {

using seccomp_program = std::vector<sock_filter>;

// The policy of seccomp_policy.h for Python and everything it starts.
[[nodiscard]] result<seccomp_program> compile_function_filter();
// For the sandbox's pid 1.
[[nodiscard]] result<seccomp_program> compile_init_filter();
// For hearth-unpack, which reads an archive and, if it `writes`, unpacks it.
[[nodiscard]] result<seccomp_program> compile_intake_filter(bool writes);

// Runs in the child, after no_new_privs; false with errno set on failure.
[[nodiscard]] bool load_filter(const seccomp_program& program) noexcept;

}  // namespace hearth::sandbox
