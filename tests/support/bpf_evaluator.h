#pragma once

#include <cstdint>
#include <span>

#include <linux/filter.h>
#include <linux/seccomp.h>

// Runs classic BPF programs as the kernel's seccomp does: every instruction that it admits, and its
// checks before loading. For asking filters without loading them.

namespace hearth::test {

// Whether the kernel would take the program: known instructions, jumps and loads in range, the last
// one returns.
[[nodiscard]] bool is_loadable(std::span<const sock_filter> program);

// The program's return value for a call. `program` must be loadable.
[[nodiscard]] std::uint32_t evaluate(std::span<const sock_filter> program,
                                     const seccomp_data& call);

}  // namespace hearth::test
