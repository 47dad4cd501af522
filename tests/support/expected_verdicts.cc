#include "tests/support/expected_verdicts.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>
#include <map>
#include <set>
#include <sstream>

#include <linux/audit.h>

#include "base/check.h"

namespace hearth::test {
namespace {

constexpr const char* allowed_text =
    "0 read  1 write  2 open  3 close  4 stat  5 fstat  6 lstat  7 poll  8 lseek  9 mmap  "
    "10 mprotect  11 munmap  12 brk  13 rt_sigaction  14 rt_sigprocmask  15 rt_sigreturn  "
    "17 pread64  18 pwrite64  19 readv  20 writev  21 access  22 pipe  23 select  "
    "24 sched_yield  25 mremap  26 msync  27 mincore  32 dup  33 dup2  34 pause  "
    "35 nanosleep  36 getitimer  37 alarm  38 setitimer  39 getpid  40 sendfile  "
    "42 connect  43 accept  45 recvfrom  47 recvmsg  48 shutdown  49 bind  50 listen  "
    "51 getsockname  52 getpeername  55 getsockopt  57 fork  58 vfork  59 execve  60 exit  "
    "61 wait4  62 kill  63 uname  73 flock  74 fsync  75 fdatasync  76 truncate  "
    "77 ftruncate  78 getdents  79 getcwd  80 chdir  81 fchdir  82 rename  83 mkdir  "
    "84 rmdir  85 creat  86 link  87 unlink  88 symlink  89 readlink  90 chmod  91 fchmod  "
    "92 chown  93 fchown  94 lchown  95 umask  96 gettimeofday  97 getrlimit  "
    "98 getrusage  99 sysinfo  100 times  102 getuid  104 getgid  107 geteuid  "
    "108 getegid  109 setpgid  110 getppid  111 getpgrp  112 setsid  115 getgroups  "
    "118 getresuid  120 getresgid  121 getpgid  124 getsid  125 capget  127 rt_sigpending  "
    "128 rt_sigtimedwait  129 rt_sigqueueinfo  130 rt_sigsuspend  131 sigaltstack  "
    "132 utime  137 statfs  138 fstatfs  140 getpriority  141 setpriority  "
    "143 sched_getparam  145 sched_getscheduler  146 sched_get_priority_max  "
    "147 sched_get_priority_min  148 sched_rr_get_interval  158 arch_prctl  160 setrlimit  "
    "186 gettid  187 readahead  191 getxattr  192 lgetxattr  193 fgetxattr  194 listxattr  "
    "195 llistxattr  196 flistxattr  200 tkill  201 time  202 futex  "
    "203 sched_setaffinity  204 sched_getaffinity  213 epoll_create  217 getdents64  "
    "218 set_tid_address  219 restart_syscall  221 fadvise64  222 timer_create  "
    "223 timer_settime  224 timer_gettime  225 timer_getoverrun  226 timer_delete  "
    "228 clock_gettime  229 clock_getres  230 clock_nanosleep  231 exit_group  "
    "232 epoll_wait  233 epoll_ctl  234 tgkill  235 utimes  239 get_mempolicy  247 waitid  "
    "257 openat  258 mkdirat  260 fchownat  261 futimesat  262 newfstatat  263 unlinkat  "
    "264 renameat  265 linkat  266 symlinkat  267 readlinkat  268 fchmodat  269 faccessat  "
    "270 pselect6  271 ppoll  273 set_robust_list  274 get_robust_list  "
    "277 sync_file_range  280 utimensat  281 epoll_pwait  282 signalfd  "
    "283 timerfd_create  284 eventfd  285 fallocate  286 timerfd_settime  "
    "287 timerfd_gettime  288 accept4  289 signalfd4  290 eventfd2  291 epoll_create1  "
    "292 dup3  293 pipe2  295 preadv  296 pwritev  297 rt_tgsigqueueinfo  299 recvmmsg  "
    "309 getcpu  316 renameat2  318 getrandom  319 memfd_create  322 execveat  "
    "324 membarrier  326 copy_file_range  327 preadv2  328 pwritev2  329 pkey_mprotect  "
    "330 pkey_alloc  331 pkey_free  332 statx  334 rseq  424 pidfd_send_signal  "
    "434 pidfd_open  436 close_range  437 openat2  439 faccessat2  441 epoll_pwait2  "
    "449 futex_waitv  ";

constexpr const char* not_there_text =
    "248 add_key  249 request_key  250 keyctl  253 inotify_init  254 inotify_add_watch  "
    "255 inotify_rm_watch  294 inotify_init1  298 perf_event_open  310 process_vm_readv  "
    "311 process_vm_writev  321 bpf  323 userfaultfd  425 io_uring_setup  "
    "426 io_uring_enter  427 io_uring_register  428 open_tree  429 move_mount  430 fsopen  "
    "431 fsconfig  432 fsmount  433 fspick  435 clone3  438 pidfd_getfd  "
    "440 process_madvise  442 mount_setattr  444 landlock_create_ruleset  "
    "445 landlock_add_rule  446 landlock_restrict_self  447 memfd_secret  "
    "448 process_mrelease  450 set_mempolicy_home_node  ";

// Anything that the kernel has, and neither of these lists nor a rule names, is not permitted.
constexpr std::uint32_t last_of_the_old = 334;
constexpr std::uint32_t first_of_the_new = 424;
constexpr std::uint32_t x32 = 0x4000'0000;

std::set<std::uint32_t> numbers_of(const char* text) {
    std::set<std::uint32_t> numbers;
    std::istringstream words(text);
    std::string name;
    for (std::uint32_t number = 0; words >> number >> name;) {
        numbers.insert(number);
    }
    return numbers;
}

bool one_of(std::uint32_t value, std::initializer_list<std::uint32_t> list) {
    return std::ranges::find(list, value) != list.end();
}

using arguments = std::array<std::uint32_t, 6>;  // what the kernel reads of an int

constexpr std::uint32_t type_flags = 0x80800;  // SOCK_CLOEXEC, SOCK_NONBLOCK

bool may_socket(const arguments& a) {
    constexpr std::uint32_t stream = 1;
    constexpr std::uint32_t datagram = 2;
    const std::uint32_t type = a[1] & ~type_flags;
    if (a[0] == 1) {  // AF_UNIX
        return (type == stream || type == datagram) && a[2] == 0;
    }
    if (a[0] == 2 || a[0] == 10) {  // AF_INET, AF_INET6
        return (type == stream && one_of(a[2], {0, 6})) ||
               (type == datagram && one_of(a[2], {0, 17}));
    }
    return false;
}

bool may_setsockopt(const arguments& a) {
    switch (a[1]) {
        case 1:  // SOL_SOCKET
            return one_of(a[2], {2, 6, 7, 8, 9, 13, 15, 16, 20, 21});
        case 6:  // TCP
            return one_of(a[2], {1, 2, 3, 4, 5, 6, 12, 18});
        case 0:  // IP
            return one_of(a[2], {1, 2});
        case 41:  // IPv6
            return a[2] == 26;
        default:
            return false;
    }
}

bool may_madvise(const arguments& a) {
    return a[2] <= 4 || (a[2] >= 8 && a[2] <= 11) || (a[2] >= 14 && a[2] <= 19) ||
           one_of(a[2], {22, 23, 102, 103});
}

bool may_fcntl(const arguments& a) {
    return a[1] <= 7 || one_of(a[1], {36, 37, 38, 1030, 1032, 1033, 1034});
}

bool may_prctl(const arguments& a) {
    return one_of(a[0], {1, 2, 3, 15, 16, 21, 23, 29, 30, 38, 39, 41, 42, 0x53564d41});
}

// Each call whose arguments are looked at.
using rule = bool (*)(const arguments&);
const std::map<std::uint32_t, rule>& rules() {
    // CLONE_NEW* (NEWTIME is 0x80), CLONE_PTRACE, CLONE_UNTRACED, CLONE_PARENT.
    static const std::map<std::uint32_t, rule> known{
        {16,
         [](const arguments& a) {
             return one_of(a[1], {0x541b, 0x5421, 0x5450, 0x5451, 0x5401, 0x5413, 0x540f});
         }},
        {28, may_madvise},
        {41, may_socket},
        {44,
         [](const arguments& a) {
             return (a[3] & 1) == 0;
         }},
        {46,
         [](const arguments& a) {
             return (a[2] & 1) == 0;
         }},
        {53,
         [](const arguments& a) {
             return a[0] == 1 && one_of(a[1] & ~type_flags, {1, 2});
         }},
        {54, may_setsockopt},
        {56,
         [](const arguments& a) {
             return (a[0] & 0x7e82'a080) == 0;
         }},
        {72, may_fcntl},
        {135,
         [](const arguments& a) {
             return a[0] == 0xffff'ffff;
         }},
        {157, may_prctl},
        {302,
         [](const arguments& a) {
             return a[0] == 0;
         }},
        {307,
         [](const arguments& a) {
             return (a[3] & 1) == 0;
         }},
    };
    return known;
}

arguments lower_halves(const seccomp_data& call) {
    arguments lower{};
    std::ranges::transform(call.args, lower.begin(),
                           [](std::uint64_t whole) { return static_cast<std::uint32_t>(whole); });
    return lower;
}

bool is_foreign(const seccomp_data& call) {
    const auto number = static_cast<std::uint32_t>(call.nr);
    return call.arch != AUDIT_ARCH_X86_64 || (number >= x32 && number != 0xffff'ffff);
}

}  // namespace

bool has_argument_rule(std::uint32_t number) {
    return rules().contains(number);
}

verdict expected_for_function(const seccomp_data& call) {
    static const auto allowed = numbers_of(allowed_text);
    static const auto not_there = numbers_of(not_there_text);
    if (is_foreign(call)) {
        return verdict::kill;
    }
    const auto number = static_cast<std::uint32_t>(call.nr);
    if (number > newest_assigned || (number > last_of_the_old && number < first_of_the_new) ||
        not_there.contains(number)) {
        return verdict::not_there;
    }
    if (const auto found = rules().find(number); found != rules().end()) {
        return found->second(lower_halves(call)) ? verdict::allow : verdict::not_permitted;
    }
    return allowed.contains(number) ? verdict::allow : verdict::not_permitted;
}

verdict expected_for_init(const seccomp_data& call) {
    // read, write, rt_sigreturn, exit, wait4, restart_syscall, exit_group
    const bool may = call.arch == AUDIT_ARCH_X86_64 &&
                     one_of(static_cast<std::uint32_t>(call.nr), {0, 1, 15, 60, 61, 219, 231});
    return may ? verdict::allow : verdict::kill;
}

verdict expected_for_intake(const seccomp_data& call, bool writes) {
    const auto a = lower_halves(call);
    const auto may = [&] {
        switch (static_cast<std::uint32_t>(call.nr)) {
            case 3:    // close
            case 5:    // fstat
            case 11:   // munmap
            case 12:   // brk
            case 15:   // rt_sigreturn
            case 17:   // pread64
            case 25:   // mremap
            case 28:   // madvise
            case 60:   // exit
            case 219:  // restart_syscall
            case 231:  // exit_group
                return true;
            case 1:  // write: the report, or any file
                return writes || a[0] == 3;
            case 9:  // mmap, never to run
                return (a[2] & 4) == 0;
            case 258:  // mkdirat
                return writes;
            case 437:  // openat2, beneath the folder
                return writes && a[0] == 4;
            default:
                return false;
        }
    };
    return call.arch == AUDIT_ARCH_X86_64 && may() ? verdict::allow : verdict::kill;
}

verdict verdict_of(std::uint32_t filter_return) {
    switch (filter_return) {
        case SECCOMP_RET_ALLOW:
            return verdict::allow;
        case SECCOMP_RET_ERRNO | EPERM:
            return verdict::not_permitted;
        case SECCOMP_RET_ERRNO | ENOSYS:
            return verdict::not_there;
        default:
            HEARTH_CHECK(filter_return == SECCOMP_RET_KILL_PROCESS, "a verdict of the policy");
            return verdict::kill;
    }
}

}  // namespace hearth::test
