#pragma once

#include <cstdint>
#include <span>

// Which system calls a function may make. Verdicts, in the order in which they are looked up:
//
//   other architecture or x32    the process is killed: nobody reaches for a foreign ABI by
//   accident numbers Hearth does not know ENOSYS: what a newer library probes for, it falls back
//   from `absent_calls`               ENOSYS: likewise, for calls that libraries probe
//   `allowed_calls`              allowed
//   `argument_rules`             allowed where one rule matches, otherwise EPERM
//   everything else              EPERM
//
// A rule compares 32 bits of each argument. The kernel ignores the upper half of an int, and a
// compare of all 64 would let socket(AF_VSOCK | 1<<32) pass for an unknown, harmless family.

namespace hearth::sandbox {

[[nodiscard]] std::span<const char* const> allowed_calls() noexcept;
[[nodiscard]] std::span<const char* const> absent_calls() noexcept;

struct argument_match {
    unsigned index = 0;
    std::uint32_t mask = 0;  // 0: the argument is not looked at
    std::uint32_t value = 0;
};
struct argument_rule {
    const char* call;
    argument_match first;
    argument_match second{};
    argument_match third{};
};
[[nodiscard]] std::span<const argument_rule> argument_rules() noexcept;

// What a zygote and the forks that join a sandbox call beyond the policy, until they are sealed.
[[nodiscard]] std::span<const char* const> joining_calls() noexcept;

// What the sandbox's init may call once Python runs. Anything else kills it, and with it the
// sandbox.
[[nodiscard]] std::span<const char* const> init_calls() noexcept;

// What hearth-unpack may call once it has an archive, beside what the rules let through; the second
// list and all rules only where it writes. Anything else kills it. Checking an archive takes no
// path and makes no descriptor; unpacking opens beneath one descriptor and nowhere else.
inline constexpr std::uint32_t intake_report_descriptor = 3;
inline constexpr std::uint32_t intake_directory_descriptor = 4;
inline constexpr std::uint32_t intake_archive_descriptor = 5;
[[nodiscard]] std::span<const char* const> intake_calls() noexcept;
[[nodiscard]] std::span<const argument_rule> check_rules() noexcept;
[[nodiscard]] std::span<const char* const> unpack_calls() noexcept;
[[nodiscard]] std::span<const argument_rule> unpack_rules() noexcept;

}  // namespace hearth::sandbox
