#include "sandbox/zygote_process.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/kernel.h"
#include "sandbox/zygote_protocol.h"

namespace hearth::sandbox {
namespace {

constexpr int zygote_socket = 3;

const char* name_of(zygote_family family) {
    return family == zygote_family::numpy ? "numpy" : "standard";
}

// Runs in the forked child: only calls that are safe between fork and exec.
[[noreturn]] void become_zygote(int program, int socket, const char* python, const char* family,
                                const char* modules, const char* const* environment) {
    const bool placed = socket == zygote_socket ? ::fcntl(socket, F_SETFD, 0) == 0
                                                : ::dup2(socket, zygote_socket) == zygote_socket;
    // The program's descriptor is close-on-exec, as all others are.
    if (placed) {
        const std::array<const char*, 5> arguments{"hearth-zygote", python, family, modules,
                                                   nullptr};
        ::syscall(SYS_execveat, program, "", arguments.data(), environment, AT_EMPTY_PATH);
    }
    ::_exit(127);
}

}  // namespace

zygote_origin make_zygote_origin(unique_fd program, std::string python,
                                 std::span<const char* const> environment) {
    zygote_origin made{.program = std::move(program),
                       .python = std::move(python),
                       .environment = {environment.begin(), environment.end()}};
    made.environment.push_back(nullptr);
    return made;
}

result<zygote_process> launch_zygote(const zygote_origin& from, zygote_family family,
                                     const std::string& modules, int epoll) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) < 0) {
        return fail_errno("socketpair for the zygote");
    }
    zygote_process made{.socket = unique_fd(pair[0]), .started_at = steady_clock::now()};
    const unique_fd theirs(pair[1]);
    made.process = ::fork();
    if (made.process < 0) {
        return fail_errno("fork of the zygote");
    }
    if (made.process == 0) {
        become_zygote(from.program.get(), theirs.get(), from.python.c_str(), name_of(family),
                      modules.c_str(), from.environment.data());
    }
    made.pidfd.reset(kernel::pidfd_open(made.process));
    if (!made.pidfd) {
        return fail_errno("pidfd_open of the zygote");
    }
    if (auto ok = watch_readable(epoll, made.pidfd.get()); !ok) {
        return propagate(ok);
    }
    if (auto ok = watch_readable(epoll, made.socket.get()); !ok) {
        return propagate(ok);
    }
    return made;
}

zygote_word read_word(const zygote_process& from) {
    received_packet packet;
    const auto state = receive_packet(from.socket.get(), packet);
    zygote_greeting said;
    if (!state || *state != receive_state::packet || packet.size != sizeof said) {
        return zygote_word::none;
    }
    std::memcpy(&said, packet.bytes.data(), sizeof said);
    return said.ready == 1 ? zygote_word::ready : zygote_word::refused;
}

bool is_overdue(const zygote_process& which) {
    if (steady_clock::now() - which.started_at < zygote_start_time_max) {
        return false;
    }
    log::warning("a zygote was not ready in time and is ended", {{"process", which.process}});
    return true;
}

void kill_zygote(const zygote_process& which) {
    kernel::pidfd_send_signal(which.pidfd.get(), SIGKILL);
}

bool has_ended(const zygote_process& which) {
    return ::waitpid(which.process, nullptr, WNOHANG) != 0;
}

void end_now(const zygote_process& which) {
    kill_zygote(which);
    ::waitpid(which.process, nullptr, 0);
}

result<> watch_readable(int epoll, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        return fail_errno("epoll_ctl for a zygote");
    }
    return {};
}

void arm_at(int timer, steady_time at) {
    const auto left = std::chrono::duration_cast<nanoseconds>(at - steady_clock::now());
    const std::int64_t wait = std::max<std::int64_t>(left.count(), 1);
    constexpr std::int64_t per_second = 1'000'000'000;
    itimerspec when{};
    when.it_value = {.tv_sec = wait / per_second, .tv_nsec = wait % per_second};
    ::timerfd_settime(timer, 0, &when, nullptr);
}

void disarm(int timer) {
    const itimerspec never{};
    ::timerfd_settime(timer, 0, &never, nullptr);
}

void drain(int timer) {
    std::uint64_t expirations = 0;
    [[maybe_unused]] const ssize_t drained = ::read(timer, &expirations, sizeof expirations);
}

}  // namespace hearth::sandbox
