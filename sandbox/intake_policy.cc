#include <array>

#include <sys/mman.h>

#include "sandbox/seccomp_policy.h"

namespace hearth::sandbox {
namespace {

// Memory, the one file, and the end.
constexpr std::array calls{
    "pread64", "fstat",      "brk",  "munmap",          "mremap",       "madvise",
    "close",   "exit_group", "exit", "restart_syscall", "rt_sigreturn",
};

constexpr std::uint32_t whole = 0xffff'ffff;
// Memory that is never code.
constexpr argument_rule plain_memory{.call = "mmap",
                                     .first = {.index = 2, .mask = PROT_EXEC, .value = 0}};
// openat2's further arguments are behind a pointer; Landlock and the changed root hold those.
constexpr argument_rule open_beneath{
    .call = "openat2", .first = {.index = 0, .mask = whole, .value = intake_directory_descriptor}};
constexpr argument_rule report{
    .call = "write", .first = {.index = 0, .mask = whole, .value = intake_report_descriptor}};

constexpr std::array rules_to_check{plain_memory, report};
// Any descriptor may be written to: those that exist are the report's and new files'.
constexpr std::array writing_calls{"write", "mkdirat"};
constexpr std::array rules_to_unpack{plain_memory, open_beneath};

}  // namespace

std::span<const char* const> intake_calls() noexcept {
    return calls;
}

std::span<const argument_rule> check_rules() noexcept {
    return rules_to_check;
}

std::span<const char* const> unpack_calls() noexcept {
    return writing_calls;
}

std::span<const argument_rule> unpack_rules() noexcept {
    return rules_to_unpack;
}

}  // namespace hearth::sandbox
