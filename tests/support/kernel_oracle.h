#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>

namespace hearth::test {

// uretprobe and uprobe: the kernel looks at them before any filter, and sends SIGILL unless its own
// trampoline makes them.
[[nodiscard]] constexpr bool is_beside_filters(int number) {
    return number == 335 || number == 336;
}

// Asks the kernel what a filter says, without a single call being carried out.
//
// The program is loaded in a child with each verdict turned into an errno of its own, also that of
// allowing; the child makes the calls and notes what they return. Calls of the native architecture
// only, and none that is_beside_filters. An empty answer: the kernel did not load the program, or
// the child did not end well.
[[nodiscard]] std::vector<std::uint32_t> ask_kernel(std::span<const sock_filter> program,
                                                    std::span<const seccomp_data> calls);

// The same for calls that a program of the 32-bit ABI makes (int 0x80), with at most 32 bits each.
// Empty as well where the kernel has no such ABI.
[[nodiscard]] std::vector<std::uint32_t> ask_kernel_by_int80(std::span<const sock_filter> program,
                                                             std::span<const seccomp_data> calls);

}  // namespace hearth::test
