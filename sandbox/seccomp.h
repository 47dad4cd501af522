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
// The same in two parts, of which the kernel follows the stricter. It translates a filter for 0.2
// ms whenever one is loaded: a zygote loads the first, which its forks inherit, and which still
// lets through what joining a sandbox takes; a fork loads the second, some fifty instructions,
// which decide on those calls as the policy does.
[[nodiscard]] result<seccomp_program> compile_zygote_filter();
[[nodiscard]] result<seccomp_program> compile_sealing_filter();
// For the sandbox's pid 1.
[[nodiscard]] result<seccomp_program> compile_init_filter();
// For hearth-unpack, which reads an archive and, if it `writes`, unpacks it.
[[nodiscard]] result<seccomp_program> compile_intake_filter(bool writes);

// Runs in the child, after no_new_privs; false with errno set on failure.
[[nodiscard]] bool load_filter(const seccomp_program& program) noexcept;

}  // namespace hearth::sandbox
