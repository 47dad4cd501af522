#include "sandbox/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include "sandbox/kernel.h"

namespace hearth::sandbox {
namespace {

// First everything moves above this, so that no target number is still somebody's source.
constexpr int staging_first = 64;

bool stage(int& fd) noexcept {
    fd = ::fcntl(fd, F_DUPFD_CLOEXEC, staging_first);
    return fd >= 0;
}

}  // namespace

bool arrange_descriptors(int control_stream, int output, int& status, int parent) noexcept {
    int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || !stage(input) || !stage(output) || !stage(control_stream) || !stage(status) ||
        (parent >= 0 && !stage(parent))) {
        return false;
    }
    if (::dup2(input, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 ||
        ::dup2(output, STDERR_FILENO) < 0 || ::dup2(control_stream, control_descriptor) < 0 ||
        ::dup3(status, status_descriptor, O_CLOEXEC) < 0 ||
        (parent >= 0 && ::dup3(parent, parent_descriptor, O_CLOEXEC) < 0)) {
        return false;
    }
    status = status_descriptor;
    const int last = parent >= 0 ? parent_descriptor : status_descriptor;
    return kernel::close_range(static_cast<unsigned>(last) + 1, ~0U, 0) == 0;
}

}  // namespace hearth::sandbox
