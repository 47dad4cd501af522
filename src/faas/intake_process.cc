#include "faas/intake_process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/concat.h"
#include "faas/archive/intake_protocol.h"

namespace hearth::faas {
namespace {

// posix_spawn's settings, released whatever happens.
class spawn_settings {
public:
    spawn_settings() {
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
    }
    spawn_settings(const spawn_settings&) = delete;
    spawn_settings& operator=(const spawn_settings&) = delete;
    ~spawn_settings() {
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
    }

    // 0 to 2 lead nowhere, 3 is the socket. All others are close-on-exec in this code base, and the
    // program closes what it may have got nevertheless.
    [[nodiscard]] int arrange(int socket) {
        for (const int each : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
            const int failed =
                ::posix_spawn_file_actions_addopen(&actions, each, "/dev/null", O_RDWR, 0);
            if (failed != 0) {
                return failed;
            }
        }
        return ::posix_spawn_file_actions_adddup2(&actions, socket, intake_socket);
    }

    // A session of its own: Ctrl-C at the server's terminal is the server's to handle.
    [[nodiscard]] int detach() {
        sigset_t none;
        sigset_t all;
        sigemptyset(&none);
        sigfillset(&all);
        int failed = ::posix_spawnattr_setsigmask(&attributes, &none);
        if (failed == 0) {
            failed = ::posix_spawnattr_setsigdefault(&attributes, &all);
        }
        if (failed == 0) {
            failed = ::posix_spawnattr_setflags(
                &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
        }
        return failed;
    }

    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
};

}  // namespace

result<unique_fd> intake_process::open_program(const std::string& path) {
    const unique_fd opened(::open(path.c_str(), O_PATH | O_CLOEXEC));
    // Away from the numbers that a start arranges.
    constexpr int first_free = 16;
    unique_fd moved(opened ? ::fcntl(opened.get(), F_DUPFD_CLOEXEC, first_free) : -1);
    if (!moved) {
        return fail_errno(concat("cannot open ", path, "; reinstall the package"));
    }
    return moved;
}

result<intake_process> intake_process::start(int program) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) < 0) {
        return fail_errno("socketpair for hearth-unpack");
    }
    unique_fd own(pair[0]);
    const unique_fd theirs(pair[1]);
    spawn_settings settings;
    int failed = settings.arrange(theirs.get());
    if (failed == 0) {
        failed = settings.detach();
    }
    std::string name = "hearth-unpack";
    const std::array<char*, 2> arguments{name.data(), nullptr};
    // The server's environment holds keys.
    const std::array<char*, 1> environment{nullptr};
    pid_t process = -1;
    if (failed == 0) {
        // By descriptor: the folder of the program may be closed to who serves.
        failed =
            ::posix_spawn(&process, concat("/proc/self/fd/", program).c_str(), &settings.actions,
                          &settings.attributes, arguments.data(), environment.data());
    }
    if (failed != 0) {
        return fail_errno("cannot start hearth-unpack", failed);
    }
    // Nobody else reaps it, so the number is still its own.
    unique_fd handle(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
    if (!handle) {
        const int os_error = errno;
        ::kill(process, SIGKILL);
        ::waitpid(process, nullptr, 0);
        return fail_errno("pidfd_open of hearth-unpack", os_error);
    }
    return intake_process(std::move(own), std::move(handle));
}

intake_process& intake_process::operator=(intake_process&& other) noexcept {
    kill();
    [[maybe_unused]] const auto end = wait();
    socket_ = std::move(other.socket_);
    process_ = std::move(other.process_);
    return *this;
}

intake_process::~intake_process() {
    kill();
    [[maybe_unused]] const auto end = wait();
}

void intake_process::kill() noexcept {
    if (process_) {
        ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
    }
}

intake_end intake_process::wait() noexcept {
    if (!process_) {
        return {};
    }
    siginfo_t info{};
    while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process_.get()), &info,
                    WEXITED) != 0 &&
           errno == EINTR) {
    }
    process_.reset();
    return info.si_code == CLD_EXITED ? intake_end{.code = info.si_status}
                                      : intake_end{.signal = info.si_status};
}

}  // namespace hearth::faas
