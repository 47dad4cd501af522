#include "sandbox/intake_confinement.h"

#include <array>
#include <csignal>

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/capabilities.h"
#include "sandbox/kernel.h"
#include "sandbox/landlock.h"
#include "sandbox/seccomp_policy.h"

namespace hearth::sandbox {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;  // its shadow memory is larger than any limit
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

result<> limit_resources(std::uint64_t file_bytes_max) {
    struct limit {
        __rlimit_resource resource;
        std::uint64_t soft;
        std::uint64_t hard;
    };
    const std::array limits{
        limit{RLIMIT_CORE, 0, 0},
        // SIGXCPU at the soft limit tells this end from others.
        limit{RLIMIT_CPU, intake_cpu_seconds_max, intake_cpu_seconds_max + 1},
        limit{RLIMIT_FSIZE, file_bytes_max, file_bytes_max},
        limit{RLIMIT_MEMLOCK, 0, 0},
        limit{RLIMIT_NPROC, 0, 0},
        limit{RLIMIT_NOFILE, intake_open_files_max, intake_open_files_max},
        limit{RLIMIT_AS, intake_memory_bytes_max, intake_memory_bytes_max},
    };
    for (const auto& [resource, soft, hard] : limits) {
        const rlimit both{.rlim_cur = soft, .rlim_max = hard};
        if ((resource != RLIMIT_AS || !sanitized) && ::setrlimit(resource, &both) != 0) {
            return fail_errno("setrlimit");
        }
    }
    return {};
}

// Where users may not make namespaces, there are no capabilities to drop but inherited ones.
bool drop_everything(bool own_namespaces) {
    if (own_namespaces || ::geteuid() == 0) {
        return drop_capabilities();
    }
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const std::array<__user_cap_data_struct, 2> none{};
    return ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
           ::syscall(SYS_capset, &header, none.data()) == 0;
}

// First everything moves above the numbers, so that no target is still somebody's source.
bool arrange(int socket, int archive, int directory) {
    constexpr int staging = 8;
    static_assert(staging + 3 <= static_cast<int>(intake_open_files_max));
    const int report = ::fcntl(socket, F_DUPFD_CLOEXEC, staging);
    const int file = ::fcntl(archive, F_DUPFD_CLOEXEC, staging);
    const int folder = directory < 0 ? -1 : ::fcntl(directory, F_DUPFD_CLOEXEC, staging);
    if (report < 0 || file < 0 || (directory >= 0 && folder < 0) ||
        ::dup2(report, intake_report_descriptor) < 0 ||
        ::dup2(file, intake_archive_descriptor) < 0) {
        return false;
    }
    if (folder < 0 ? ::close(intake_directory_descriptor) != 0 && errno != EBADF
                   : ::dup2(folder, intake_directory_descriptor) < 0) {
        return false;
    }
    return kernel::close_range(0, 2, 0) == 0 &&
           kernel::close_range(intake_archive_descriptor + 1, ~0U, 0) == 0;
}

// The folder as root: from its own descriptor and from everywhere else, `..` ends there.
bool change_root() {
    return ::fchdir(intake_directory_descriptor) == 0 && ::chroot(".") == 0 && ::chdir("/") == 0;
}

}  // namespace

result<intake_confinement> intake_confinement::prepare(std::uint64_t file_bytes_max) {
    intake_confinement made;
    // Modes are what the archive's reader asks for, whatever the server's mask is.
    constexpr mode_t private_writes = 022;
    ::umask(private_writes);
    ::prctl(PR_SET_NAME, "hearth-unpack", 0, 0, 0);
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fail_errno("no_new_privs");
    }
    made.own_namespaces_ =
        ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0;
    made.landlock_ = landlock_abi();
    if (!made.own_namespaces_ && made.landlock_ == 0) {
        return fail(errc::unavailable,
                    "this host lets users neither make namespaces nor use Landlock, and archives "
                    "are not read without one of them. Set kernel.unprivileged_userns_clone=1 and "
                    "user.max_user_namespaces above 0, or boot with landlock in lsm=");
    }
    // After the namespaces: a change of credentials clears it. Who has died before is noticed by
    // the end of the socket.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
        return fail_errno("PR_SET_PDEATHSIG");
    }
    auto to_check = compile_intake_filter(false);
    auto to_unpack = compile_intake_filter(true);
    if (!to_check || !to_unpack) {
        return propagate(to_check ? to_unpack : to_check);
    }
    made.to_check_ = std::move(*to_check);
    made.to_unpack_ = std::move(*to_unpack);
    if (auto limited = limit_resources(file_bytes_max); !limited) {
        return propagate(limited);
    }
    return made;
}

result<> intake_confinement::seal(int socket, int archive, int directory) const {
    if (!arrange(socket, archive, directory)) {
        return fail_errno("arranging descriptors");
    }
    if (own_namespaces_ && directory >= 0 && !change_root()) {
        return fail_errno("changing the root");
    }
    if (!drop_everything(own_namespaces_)) {
        return fail_errno("dropping capabilities");
    }
    if (!restrict_to_new_files(landlock_, directory < 0 ? -1 : intake_directory_descriptor)) {
        return fail_errno("Landlock");
    }
    if (!load_filter(directory < 0 ? to_check_ : to_unpack_)) {
        return fail_errno("loading the system call filter");
    }
    return {};
}

}  // namespace hearth::sandbox
