#include "base/check.h"

#include <cstdio>
#include <cstdlib>

#include <execinfo.h>
#include <unistd.h>

namespace hearth {

void check_failed(const char* condition, const char* file, int line,
                  std::string_view message) noexcept {
    std::fprintf(stderr, "hearth: bug: %.*s (%s) at %s:%d\n", static_cast<int>(message.size()),
                 message.data(), condition, file, line);
    void* frames[64];
    const int count = ::backtrace(frames, 64);
    ::backtrace_symbols_fd(frames, count, STDERR_FILENO);
    std::abort();
}

}  // namespace hearth
