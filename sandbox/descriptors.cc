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

bool arrange_descriptors(containment& plan) noexcept {
    int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || !stage(input) || !stage(plan.output) || !stage(plan.control_stream) ||
        !stage(plan.parent) || !stage(plan.init.status)) {
        return false;
    }
    if (::dup2(input, STDIN_FILENO) < 0 || ::dup2(plan.output, STDOUT_FILENO) < 0 ||
        ::dup2(plan.output, STDERR_FILENO) < 0 ||
        ::dup2(plan.control_stream, control_descriptor) < 0 ||
        ::dup3(plan.init.status, status_descriptor, O_CLOEXEC) < 0 ||
        ::dup3(plan.parent, parent_descriptor, O_CLOEXEC) < 0) {
        return false;
    }
    plan.init.status = status_descriptor;
    return kernel::close_range(parent_descriptor + 1, ~0U, 0) == 0;
}

}  // namespace hearth::sandbox
