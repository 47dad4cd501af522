#include "sandbox/zygote_keeper.h"

#include <algorithm>
#include <array>
#include <cerrno>
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
#include "sandbox/protocol.h"

namespace hearth::sandbox {
namespace {

constexpr int zygote_socket = 3;
constexpr milliseconds start_pause_min{1'000};  // after a zygote that died
constexpr milliseconds start_pause_max{60'000};
constexpr std::uint32_t failed_forks_max = 3;  // in a row
constexpr seconds start_time_max{60};          // to import everything; takes less than one

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

result<zygote_keeper> zygote_keeper::make(unique_fd program, std::string python,
                                          std::span<const char* const> environment,
                                          zygote_settings settings) {
    zygote_keeper made(std::move(program), std::move(python), environment, std::move(settings));
    made.environment_.push_back(nullptr);
    made.epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    made.timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!made.epoll_ || !made.timer_) {
        return fail_errno("preparing the zygote's keeper");
    }
    if (auto ok = made.watch(made.timer_.get()); !ok) {
        return propagate(ok);
    }
    made.dispatch();
    return made;
}

void zygote_keeper::want() {
    if (!wanted_) {
        wanted_ = true;
        dispatch();
    }
}

result<> zygote_keeper::watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        return fail_errno("epoll_ctl for a zygote");
    }
    return {};
}

// Whatever woke it, everything is looked at: there are two zygotes at most and those that end.
void zygote_keeper::dispatch() {
    std::uint64_t expirations = 0;
    [[maybe_unused]] const ssize_t drained = ::read(timer_.get(), &expirations, sizeof expirations);
    std::erase_if(retired_, has_ended);
    check_next();
    if (current_ && has_ended(*current_)) {
        log::warning("the zygote ended; sandboxes execute Python until there is another",
                     {{"process", current_->process}});
        current_.reset();
        delay_start();
    }
    if (!next_ && (!current_ || is_worn_out())) {
        start_next();
    }
    arm_timer();
}

void zygote_keeper::check_next() {
    if (!next_) {
        return;
    }
    const greeting said = read_greeting(*next_);
    if (said == greeting::ready) {
        retire_current();
        current_ = std::move(next_);
        next_.reset();
        failed_forks_ = 0;
        was_ready_ = true;
    } else if (said == greeting::refused) {
        retired_.push_back(std::move(*next_));
        next_.reset();
        if (was_ready_) {
            delay_start();  // what it lacks, memory for example, may come back
        } else {
            program_.reset();  // it said why; trying again would not change the host
        }
    } else if (steady_clock::now() - next_->started_at >= start_time_max) {
        log::warning("a zygote was not ready in time and is ended", {{"process", next_->process}});
        kernel::pidfd_send_signal(next_->pidfd.get(), SIGKILL);
        retired_.push_back(std::move(*next_));
        next_.reset();
        delay_start();
    } else if (has_ended(*next_)) {
        log::warning("a zygote ended before it was ready", {{"process", next_->process}});
        next_.reset();
        delay_start();
    }
}

void zygote_keeper::start_next() {
    if (!program_ || !wanted_ || steady_clock::now() < start_at_) {
        return;
    }
    auto launched = launch();
    if (!launched) {
        log::warning("the zygote cannot be started", {{"error", launched.error().message}});
        delay_start();
        return;
    }
    next_ = std::move(*launched);
}

result<zygote_keeper::generation> zygote_keeper::launch() const {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) < 0) {
        return fail_errno("socketpair for the zygote");
    }
    generation made{.socket = unique_fd(pair[0]), .started_at = steady_clock::now()};
    const unique_fd theirs(pair[1]);
    made.process = ::fork();
    if (made.process < 0) {
        return fail_errno("fork of the zygote");
    }
    if (made.process == 0) {
        become_zygote(program_.get(), theirs.get(), python_.c_str(), name_of(settings_.family),
                      settings_.modules.c_str(), environment_.data());
    }
    made.pidfd.reset(kernel::pidfd_open(made.process));
    if (!made.pidfd) {
        return fail_errno("pidfd_open of the zygote");
    }
    if (auto ok = watch(made.pidfd.get()); !ok) {
        return propagate(ok);
    }
    if (auto ok = watch(made.socket.get()); !ok) {
        return propagate(ok);
    }
    return made;
}

void zygote_keeper::retire_current() {
    if (current_) {
        // It ends when it reads the end of its socket.
        current_->socket.reset();
        retired_.push_back(std::move(*current_));
        current_.reset();
    }
}

void zygote_keeper::delay_start() {
    start_pause_ = std::clamp(start_pause_ * 2, start_pause_min, start_pause_max);
    start_at_ = steady_clock::now() + start_pause_;
}

bool zygote_keeper::is_worn_out() const {
    return current_->forks >= settings_.forks_max ||
           steady_clock::now() - current_->started_at >= settings_.age_max;
}

// For the next start: after a failure, or when the current one is worn out.
void zygote_keeper::arm_timer() const {
    itimerspec when{};
    if (program_ && wanted_) {
        steady_time at = next_ ? next_->started_at + start_time_max : start_at_;
        if (!next_ && current_ && !is_worn_out()) {
            at = std::max(at, current_->started_at + settings_.age_max);
        }
        const auto left = std::chrono::duration_cast<nanoseconds>(at - steady_clock::now());
        const std::int64_t wait = std::max<std::int64_t>(left.count(), 1);
        constexpr std::int64_t per_second = 1'000'000'000;
        when.it_value = {.tv_sec = wait / per_second, .tv_nsec = wait % per_second};
    }
    ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

zygote_keeper::greeting zygote_keeper::read_greeting(const generation& from) {
    received_packet packet;
    const auto state = receive_packet(from.socket.get(), packet);
    zygote_greeting said;
    if (!state || *state != receive_state::packet || packet.size != sizeof said) {
        return greeting::none;
    }
    std::memcpy(&said, packet.bytes.data(), sizeof said);
    return said.ready == 1 ? greeting::ready : greeting::refused;
}

bool zygote_keeper::has_ended(const generation& which) {
    return ::waitpid(which.process, nullptr, WNOHANG) != 0;
}

result<> zygote_keeper::fork(const fork_request& request, std::span<const int> descriptors) {
    if (!current_) {
        return fail(errc::unavailable, "there is no zygote");
    }
    ++current_->forks;
    if (is_worn_out() && !next_) {
        arm_timer();
    }
    return send_packet(current_->socket.get(), bytes_of(request), descriptors);
}

void zygote_keeper::note_fork(bool succeeded) {
    failed_forks_ = succeeded ? 0 : failed_forks_ + 1;
    if (succeeded) {
        start_pause_ = milliseconds(0);
    } else if (failed_forks_ >= failed_forks_max && current_) {
        log::warning("the zygote's forks fail; it is replaced", {{"process", current_->process}});
        retire_current();
        delay_start();
        arm_timer();
    }
}

void zygote_keeper::shut_down() {
    program_.reset();
    retire_current();
    if (next_) {
        next_->socket.reset();
        retired_.push_back(std::move(*next_));
        next_.reset();
    }
    for (const generation& each : retired_) {
        // It holds nothing that an orderly end would save.
        kernel::pidfd_send_signal(each.pidfd.get(), SIGKILL);
        ::waitpid(each.process, nullptr, 0);
    }
    retired_.clear();
}

}  // namespace hearth::sandbox
