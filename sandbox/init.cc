#include "sandbox/init.h"

#include <cerrno>
#include <csignal>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/descriptors.h"
#include "sandbox/kernel.h"
#include "sandbox/status_pipe.h"

namespace hearth::sandbox {
namespace {

constexpr int failed_exit_code = 127;

[[noreturn]] void give_up(int status, std::string_view stage) noexcept {
    write_status(status, status_kind::failed, errno, stage);
    ::_exit(failed_exit_code);
}

// Pid 2. The filter is the last thing before Python: what comes before it needs calls it denies.
[[noreturn]] void become_python(const init_plan& plan) noexcept {
    if (!load_filter(*plan.function_filter)) {
        give_up(plan.status, "seccomp");
    }
    ::execve(plan.arguments[0], plan.arguments, plan.environment);
    give_up(plan.status, "execve of Python");
}

// CLONE_VFORK suspends the caller until the child has executed its program or ended, so that
// "sealed" is never said too early; without CLONE_VM the child works on its own copy of the memory.
pid_t fork_until_exec() noexcept {
    constexpr unsigned long flags = CLONE_VFORK | SIGCHLD;
    return static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr));
}

pid_t execute_python(const init_plan& plan) noexcept {
    const pid_t python = fork_until_exec();
    if (python < 0) {
        give_up(plan.status, "fork of Python");
    }
    if (python == 0) {
        become_python(plan);
    }
    // Held open here, the streams would not end when Python ends.
    if (kernel::close_range(0, 3, 0) != 0 || !load_filter(*plan.init_filter)) {
        give_up(plan.status, "init's own filter");
    }
    write_status(plan.status, status_kind::sealed, 0, {}, plan.reached);
    return python;
}

// The zygote forks Python through a process that ended before the number is sent, so that Python is
// a child of this one by then.
pid_t adopt_python(const init_plan& plan) noexcept {
    if (kernel::close_range(0, 2, 0) != 0 || !load_filter(*plan.init_filter)) {
        give_up(plan.status, "init's own filter");
    }
    write_status(plan.status, status_kind::shell, 0, {}, plan.reached);
    pid_t python = -1;
    if (::read(control_descriptor, &python, sizeof python) != sizeof python) {
        ::_exit(failed_exit_code);
    }
    return python;
}

}  // namespace

void run_init(const init_plan& plan) noexcept {
    // Hides /proc/1 from the function: hidepid asks whether the reader could trace the process.
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        give_up(plan.status, "dumpable");
    }
    const pid_t python = plan.arguments == nullptr ? adopt_python(plan) : execute_python(plan);
    for (;;) {
        int wait_status = 0;
        const pid_t ended = ::waitpid(-1, &wait_status, 0);
        if (ended == python) {
            write_status(plan.status, status_kind::ended, wait_status);
            ::_exit(0);
        }
        if (ended < 0 && errno != EINTR) {
            give_up(plan.status, "wait of init");
        }
    }
}

}  // namespace hearth::sandbox
