#include "uring/probe.h"

#include <array>
#include <cerrno>
#include <fstream>
#include <memory>

#include <sys/utsname.h>

#include "base/concat.h"

namespace hearth::uring {
namespace {

std::string kernel_release() {
    utsname name{};
    return ::uname(&name) == 0 ? name.release : "unknown";
}

// 0 enabled, 1 for members of a group, 2 disabled; absent before Linux 6.6.
int disabled_setting() {
    std::ifstream file("/proc/sys/kernel/io_uring_disabled");
    int value = 0;
    file >> value;
    return value;
}

struct required_operation {
    int opcode;
    const char* name;
};
constexpr std::array required_operations{
    required_operation{IORING_OP_ACCEPT, "accept"},
    required_operation{IORING_OP_RECV, "recv"},
    required_operation{IORING_OP_SEND, "send"},
    required_operation{IORING_OP_SENDMSG, "sendmsg"},
    required_operation{IORING_OP_CONNECT, "connect"},
    required_operation{IORING_OP_READ, "read"},
    required_operation{IORING_OP_POLL_ADD, "poll"},
    required_operation{IORING_OP_ASYNC_CANCEL, "cancel"},
    required_operation{IORING_OP_SHUTDOWN, "shutdown"},
    // Not used itself: it arrived with multishot receive, which has no bit of its own (Linux 6.0).
    required_operation{IORING_OP_SEND_ZC, "multishot recv"},
};

}  // namespace

std::unexpected<error> explain_setup_failure(int os_error) {
    const int disabled = disabled_setting();
    std::string cause;
    switch (os_error) {
        case ENOSYS:
            cause = concat("this kernel (", kernel_release(),
                           ") has no io_uring, or a container's seccomp profile hides it. "
                           "Use Linux 6.1 or newer; in a container allow io_uring_setup, "
                           "io_uring_enter and io_uring_register (docs/operations.md)");
            break;
        case EPERM:
            cause = disabled != 0
                        ? concat("the sysctl kernel.io_uring_disabled is ", disabled,
                                 ". Set it to 0, or to 1 with kernel.io_uring_group naming a group "
                                 "of Hearth's user")
                        : std::string(
                              "a seccomp profile forbids io_uring, as Docker's default does. "
                              "Run on the host, or with --security-opt seccomp=PROFILE that allows "
                              "io_uring_setup, io_uring_enter and io_uring_register");
            break;
        case EINVAL:
            cause = concat("this kernel (", kernel_release(),
                           ") lacks DEFER_TASKRUN. Use Linux 6.1 or newer");
            break;
        case ENOMEM:
            cause =
                "not enough locked memory. Raise it: ulimit -l unlimited, or LimitMEMLOCK= in the "
                "service";
            break;
        case EMFILE:
        case ENFILE:
            cause = "out of file descriptors. Raise the limit: ulimit -n, or LimitNOFILE=";
            break;
        default:
            return fail_errno("io_uring cannot be set up", os_error);
    }
    return std::unexpected<error>(
        error{errc::unavailable, "io_uring cannot be set up: " + cause, os_error});
}

result<> check_features(io_uring& kernel, unsigned features) {
    if ((features & IORING_FEAT_EXT_ARG) == 0 || (features & IORING_FEAT_NODROP) == 0) {
        return fail(errc::unavailable,
                    concat("io_uring of this kernel (", kernel_release(),
                           ") is too old: it cannot wait with a timeout. Use Linux 6.1 or newer"));
    }
    const std::unique_ptr<io_uring_probe, decltype(&io_uring_free_probe)> probe(
        io_uring_get_probe_ring(&kernel), &io_uring_free_probe);
    if (probe == nullptr) {
        return fail(errc::unavailable, "io_uring cannot be probed: Linux 6.1 or newer is needed");
    }
    for (const auto& [opcode, name] : required_operations) {
        if (io_uring_opcode_supported(probe.get(), opcode) == 0) {
            return fail(errc::unavailable, concat("io_uring of this kernel (", kernel_release(),
                                                  ") lacks ", name, ". Use Linux 6.1 or newer"));
        }
    }
    return {};
}

}  // namespace hearth::uring
