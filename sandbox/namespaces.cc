#include "sandbox/namespaces.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/concat.h"
#include "sandbox/kernel.h"

namespace hearth::sandbox {
namespace {

constexpr std::string_view inside_host_name = "sandbox";

bool write_text(int directory, const char* path, std::string_view text) noexcept {
    const int fd = ::openat(directory, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t written = ::write(fd, text.data(), text.size());
    const int saved = errno;
    ::close(fd);
    errno = saved;
    return written == static_cast<ssize_t>(text.size());
}

}  // namespace

result<cloned_process> clone_into_namespaces(int cgroup) {
    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
                      CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
    if (cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = static_cast<std::uint64_t>(cgroup);
    }
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    const long process = kernel::clone3(arguments);
    if (process < 0) {
        return fail_errno("clone3 into new namespaces");
    }
    return cloned_process{.process = static_cast<pid_t>(process), .pidfd = unique_fd(pidfd)};
}

result<> map_ids(pid_t process, unsigned host_id) {
    const unique_fd directory(
        ::open(concat("/proc/", process).c_str(), O_DIRECTORY | O_PATH | O_CLOEXEC));
    if (!directory) {
        return fail_errno("open of the sandbox's /proc directory");
    }
    const std::string map = concat(inside_id, " ", host_id, " 1\n");
    if (!write_text(directory.get(), "uid_map", map)) {
        return fail_errno("write of uid_map");
    }
    if (!write_text(directory.get(), "gid_map", map)) {
        return fail_errno("write of gid_map");
    }
    if (!write_text(directory.get(), "oom_score_adj", oom_score_adjustment)) {
        return fail_errno("write of oom_score_adj");
    }
    return {};
}

bool enter_cgroups(std::span<const int> task_lists) noexcept {
    return std::ranges::all_of(task_lists, [](int list) { return ::write(list, "0", 1) == 1; });
}

bool drop_groups() noexcept {
    if (::setgroups(0, nullptr) == 0) {
        return true;
    }
    const int saved = errno;
    std::array<char, 8> state{};
    const int file = ::open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC);
    const ssize_t got = file < 0 ? -1 : ::read(file, state.data(), state.size());
    if (file >= 0) {
        ::close(file);
    }
    errno = saved;
    return saved == EPERM && got > 0 && std::string_view(state.data()).starts_with("deny");
}

bool take_identity() noexcept {
    // Dumpable goes to 0 with the user; without it /proc/self belongs to root and the nested user
    // namespace could not be mapped.
    return drop_groups() && take_user() && make_dumpable();
}

bool take_user() noexcept {
    return ::setresgid(inside_id, inside_id, inside_id) == 0 &&
           ::setresuid(inside_id, inside_id, inside_id) == 0;
}

bool make_dumpable() noexcept {
    return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

bool join_namespaces(int init) noexcept {
    return ::setns(init,
                   CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) == 0;
}

bool join_user_namespace(int init) noexcept {
    return ::setns(init, CLONE_NEWUSER) == 0;
}

bool forbid_namespaces() noexcept {
    // In a /proc of its own: each user namespace has its own such files, all under one name, and in
    // the host's /proc the kernel would go through those of every sandbox that lives.
    const int proc =
        kernel::mount_detached("proc", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (proc < 0) {
        return false;
    }
    constexpr std::array kinds{"sys/user/max_pid_namespaces", "sys/user/max_mnt_namespaces",
                               "sys/user/max_net_namespaces", "sys/user/max_ipc_namespaces",
                               "sys/user/max_uts_namespaces", "sys/user/max_cgroup_namespaces",
                               "sys/user/max_time_namespaces"};
    // A kernel built without that kind of namespace has no such file.
    const bool forbidden =
        std::ranges::all_of(
            kinds,
            [proc](const char* each) { return write_text(proc, each, "0") || errno == ENOENT; }) &&
        write_text(proc, "sys/user/max_user_namespaces", "1");
    const int saved = errno;
    ::close(proc);
    errno = saved;
    return forbidden;
}

bool enter_nested_user_namespace() noexcept {
    if (::unshare(CLONE_NEWUSER) != 0 || ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) {
        return false;
    }
    constexpr std::string_view same = "1000 1000 1";
    static_assert(inside_id == 1000);
    if (!write_text(AT_FDCWD, "/proc/self/setgroups", "deny") ||
        !write_text(AT_FDCWD, "/proc/self/uid_map", same) ||
        !write_text(AT_FDCWD, "/proc/self/gid_map", same)) {
        return false;
    }
    if (::unshare(CLONE_NEWUSER) == 0) {
        errno = ENOTRECOVERABLE;
        return false;
    }
    return true;
}

bool new_session() noexcept {
    // A kernel without keyrings has none to share.
    return ::setsid() >= 0 &&
           (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0 || errno == ENOSYS);
}

bool set_host_name() noexcept {
    return ::sethostname(inside_host_name.data(), inside_host_name.size()) == 0;
}

bool die_with_parent(int parent_pidfd) noexcept {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
        return false;
    }
    // The parent may have died before the line above; getppid tells nothing across pid namespaces.
    pollfd parent{.fd = parent_pidfd, .events = POLLIN, .revents = 0};
    const int ended = ::poll(&parent, 1, 0);
    if (ended > 0) {
        errno = ESRCH;
    }
    return ended == 0;
}

}  // namespace hearth::sandbox
