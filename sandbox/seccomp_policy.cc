#include "sandbox/seccomp_policy.h"

#include <array>

#include <fcntl.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

namespace hearth::sandbox {
namespace {

// What CPython 3.11 to 3.13, numpy and pandas need with threads, processes, files, sqlite, sockets
// and asyncio, and what other C libraries use in place of those. splice, tee and vmsplice are left
// out on purpose: they have led to writes into the page cache of read-only files more than once.
constexpr std::array allowed{
    // reading, writing, descriptors
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "close",
    "close_range",
    "lseek",
    "dup",
    "dup2",
    "dup3",
    "flock",
    "sendfile",
    "copy_file_range",
    "pipe",
    "pipe2",
    "eventfd",
    "eventfd2",
    "memfd_create",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    // files
    "open",
    "openat",
    "openat2",
    "creat",
    "access",
    "faccessat",
    "faccessat2",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "readlink",
    "readlinkat",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "umask",
    "truncate",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fadvise64",
    "readahead",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "listxattr",
    "llistxattr",
    "flistxattr",
    // memory
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "msync",
    "mincore",
    "membarrier",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "get_mempolicy",
    // threads and processes
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "kill",
    "tkill",
    "tgkill",
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "arch_prctl",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "getcpu",
    "getpid",
    "getppid",
    "gettid",
    "getpgid",
    "getpgrp",
    "setpgid",
    "getsid",
    "setsid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "capget",
    "pidfd_open",
    "pidfd_send_signal",
    "getrlimit",
    "setrlimit",
    "getrusage",
    "times",
    "getpriority",
    "setpriority",
    "sysinfo",
    "uname",
    "getrandom",
    "restart_syscall",
    // signals and time
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "pause",
    "alarm",
    "setitimer",
    "getitimer",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    // sockets, once made
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "getsockname",
    "getpeername",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "shutdown",
    "getsockopt",
};

constexpr std::array absent{
    // Watches sit on inodes, and those of /usr are everybody's: a watch tells which files other
    // sandboxes and the host open.
    "inotify_init",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    "clone3",  // its flags are behind a pointer; C libraries fall back to clone
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "userfaultfd",
    "bpf",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "memfd_secret",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "process_madvise",
    "process_mrelease",
    "set_mempolicy_home_node",
};

// read: the init of a shell learns from a pipe which process is Python.
constexpr std::array init_allowed{"wait4",           "read",        "write", "exit", "exit_group",
                                  "restart_syscall", "rt_sigreturn"};

constexpr std::uint32_t whole = 0xffff'ffff;
constexpr std::uint32_t socket_type =
    whole & ~static_cast<std::uint32_t>(SOCK_NONBLOCK | SOCK_CLOEXEC);
// Every namespace flag, CLONE_PTRACE, CLONE_UNTRACED and CLONE_PARENT. 0x80 is CLONE_NEWTIME.
constexpr std::uint32_t clone_forbidden =
    0x80U | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
    CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE | CLONE_UNTRACED | CLONE_PARENT;

constexpr argument_rule equals(const char* call, unsigned index, std::uint32_t value) {
    return {.call = call, .first = {.index = index, .mask = whole, .value = value}};
}
constexpr argument_rule socket_of(std::uint32_t family, std::uint32_t type,
                                  std::uint32_t protocol) {
    return {.call = "socket",
            .first = {.index = 0, .mask = whole, .value = family},
            .second = {.index = 1, .mask = socket_type, .value = type},
            .third = {.index = 2, .mask = whole, .value = protocol}};
}
// Urgent bytes on unix sockets are little used kernel code that sandboxes have been left by.
constexpr argument_rule send_by(const char* call, unsigned flags_index) {
    return {.call = call, .first = {.index = flags_index, .mask = MSG_OOB, .value = 0}};
}
constexpr argument_rule pair_of(std::uint32_t type) {
    return {.call = "socketpair",
            .first = {.index = 0, .mask = whole, .value = AF_UNIX},
            .second = {.index = 1, .mask = socket_type, .value = type}};
}
constexpr argument_rule option(std::uint32_t level, std::uint32_t name) {
    return {.call = "setsockopt",
            .first = {.index = 1, .mask = whole, .value = level},
            .second = {.index = 2, .mask = whole, .value = name}};
}

constexpr std::array rules{
    argument_rule{.call = "clone", .first = {.index = 0, .mask = clone_forbidden, .value = 0}},
    // Reading the personality is harmless; changing it switches address randomisation off.
    equals("personality", 0, whole),
    // Its own limits only.
    equals("prlimit64", 0, 0),

    socket_of(AF_UNIX, SOCK_STREAM, 0),
    socket_of(AF_UNIX, SOCK_DGRAM, 0),
    socket_of(AF_INET, SOCK_STREAM, 0),
    socket_of(AF_INET, SOCK_STREAM, IPPROTO_TCP),
    socket_of(AF_INET, SOCK_DGRAM, 0),
    socket_of(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    socket_of(AF_INET6, SOCK_STREAM, 0),
    socket_of(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    socket_of(AF_INET6, SOCK_DGRAM, 0),
    socket_of(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    pair_of(SOCK_STREAM),
    pair_of(SOCK_DGRAM),

    send_by("sendto", 3),
    send_by("sendmsg", 2),
    send_by("sendmmsg", 3),

    // No MADV_MERGEABLE: whether a page was merged tells what another sandbox holds. Nor what
    // reaches page tables or page cache beyond the own ones.
    equals("madvise", 2, MADV_NORMAL),
    equals("madvise", 2, MADV_RANDOM),
    equals("madvise", 2, MADV_SEQUENTIAL),
    equals("madvise", 2, MADV_WILLNEED),
    equals("madvise", 2, MADV_DONTNEED),
    equals("madvise", 2, MADV_FREE),
    equals("madvise", 2, MADV_REMOVE),
    equals("madvise", 2, MADV_DONTFORK),
    equals("madvise", 2, MADV_DOFORK),
    equals("madvise", 2, MADV_HUGEPAGE),
    equals("madvise", 2, MADV_NOHUGEPAGE),
    equals("madvise", 2, MADV_DONTDUMP),
    equals("madvise", 2, MADV_DODUMP),
    equals("madvise", 2, MADV_WIPEONFORK),
    equals("madvise", 2, MADV_KEEPONFORK),
    equals("madvise", 2, MADV_POPULATE_READ),
    equals("madvise", 2, MADV_POPULATE_WRITE),
    equals("madvise", 2, 102),  // MADV_GUARD_INSTALL and _REMOVE: stack guards of newer C libraries
    equals("madvise", 2, 103),

    // No packet filters, no upper-layer protocols, no netfilter tables.
    option(SOL_SOCKET, SO_REUSEADDR),
    option(SOL_SOCKET, SO_REUSEPORT),
    option(SOL_SOCKET, SO_BROADCAST),
    option(SOL_SOCKET, SO_SNDBUF),
    option(SOL_SOCKET, SO_RCVBUF),
    option(SOL_SOCKET, SO_KEEPALIVE),
    option(SOL_SOCKET, SO_LINGER),
    option(SOL_SOCKET, SO_PASSCRED),
    option(SOL_SOCKET, SO_RCVTIMEO),
    option(SOL_SOCKET, SO_SNDTIMEO),
    option(IPPROTO_TCP, TCP_NODELAY),
    option(IPPROTO_TCP, TCP_MAXSEG),
    option(IPPROTO_TCP, TCP_CORK),
    option(IPPROTO_TCP, TCP_KEEPIDLE),
    option(IPPROTO_TCP, TCP_KEEPINTVL),
    option(IPPROTO_TCP, TCP_KEEPCNT),
    option(IPPROTO_TCP, TCP_QUICKACK),
    option(IPPROTO_TCP, TCP_USER_TIMEOUT),
    option(IPPROTO_IP, IP_TOS),
    option(IPPROTO_IP, IP_TTL),
    option(IPPROTO_IPV6, IPV6_V6ONLY),

    equals("ioctl", 1, FIONREAD),
    equals("ioctl", 1, FIONBIO),
    equals("ioctl", 1, FIOCLEX),
    equals("ioctl", 1, FIONCLEX),
    equals("ioctl", 1, TCGETS),
    equals("ioctl", 1, TIOCGWINSZ),
    equals("ioctl", 1, TIOCGPGRP),

    // No leases, no directory notification, no signal owner, no pipe resizing.
    equals("fcntl", 1, F_DUPFD),
    equals("fcntl", 1, F_DUPFD_CLOEXEC),
    equals("fcntl", 1, F_GETFD),
    equals("fcntl", 1, F_SETFD),
    equals("fcntl", 1, F_GETFL),
    equals("fcntl", 1, F_SETFL),
    equals("fcntl", 1, F_GETLK),
    equals("fcntl", 1, F_SETLK),
    equals("fcntl", 1, F_SETLKW),
    equals("fcntl", 1, F_OFD_GETLK),
    equals("fcntl", 1, F_OFD_SETLK),
    equals("fcntl", 1, F_OFD_SETLKW),
    equals("fcntl", 1, F_GETPIPE_SZ),
    equals("fcntl", 1, F_ADD_SEALS),
    equals("fcntl", 1, F_GET_SEALS),

    equals("prctl", 0, PR_SET_NAME),
    equals("prctl", 0, PR_GET_NAME),
    equals("prctl", 0, PR_GET_DUMPABLE),
    equals("prctl", 0, PR_SET_PDEATHSIG),
    equals("prctl", 0, PR_GET_PDEATHSIG),
    equals("prctl", 0, PR_CAPBSET_READ),
    equals("prctl", 0, PR_SET_NO_NEW_PRIVS),
    equals("prctl", 0, PR_GET_NO_NEW_PRIVS),
    equals("prctl", 0, PR_GET_SECCOMP),
    equals("prctl", 0, PR_SET_TIMERSLACK),
    equals("prctl", 0, PR_GET_TIMERSLACK),
    equals("prctl", 0, PR_SET_VMA),
    equals("prctl", 0, PR_SET_THP_DISABLE),
    equals("prctl", 0, PR_GET_THP_DISABLE),
};

constexpr std::array joining{"capset",
                             "clone3",
                             "keyctl",
                             "landlock_add_rule",
                             "landlock_create_ruleset",
                             "landlock_restrict_self",
                             "prctl",
                             "seccomp",
                             "setns",
                             "setresgid",
                             "setresuid",
                             "setsockopt"};

}  // namespace

std::span<const char* const> allowed_calls() noexcept {
    return allowed;
}

std::span<const char* const> absent_calls() noexcept {
    return absent;
}

std::span<const argument_rule> argument_rules() noexcept {
    return rules;
}

std::span<const char* const> joining_calls() noexcept {
    return joining;
}

std::span<const char* const> init_calls() noexcept {
    return init_allowed;
}

}  // namespace hearth::sandbox
