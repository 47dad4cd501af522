#pragma once

#include <cstdint>

#include <linux/seccomp.h>

// What each system call's verdict must be, written down a second time: from the policy's text
// (docs/sandbox.md, "System calls"), by number and by literal values, without the names and lists
// that the filters are compiled from. x86-64.

namespace hearth::test {

enum class verdict : std::uint8_t { allow, not_permitted, not_there, kill };

[[nodiscard]] verdict expected_for_function(const seccomp_data& call);
[[nodiscard]] verdict expected_for_init(const seccomp_data& call);
[[nodiscard]] verdict expected_for_intake(const seccomp_data& call, bool writes);

// What a filter's return value means.
[[nodiscard]] verdict verdict_of(std::uint32_t filter_return);

inline constexpr std::uint32_t newest_assigned = 450;
[[nodiscard]] bool has_argument_rule(std::uint32_t number);

}  // namespace hearth::test
