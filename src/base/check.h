#pragma once

#include <string_view>

// Assertions for programmer errors. A failed check is a bug in Hearth, never bad input: it writes
// the condition, the place and a stack to stderr and stops the process. Always on.

namespace hearth {

[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               std::string_view message) noexcept;

}  // namespace hearth

#define HEARTH_CHECK(condition, message)                                     \
    do {                                                                     \
        if (!(condition)) [[unlikely]] {                                     \
            ::hearth::check_failed(#condition, __FILE__, __LINE__, message); \
        }                                                                    \
    } while (false)
