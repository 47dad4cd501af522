#include "sandbox/client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/concat.h"

namespace hearth::sandbox {
namespace {

constexpr int daemon_socket = 3;

std::vector<std::string> arguments_of(const launch_options& options) {
    std::vector<std::string> arguments{options.program,
                                       "--socket-fd",
                                       concat(daemon_socket),
                                       "--instance",
                                       options.instance,
                                       "--runtime-dir",
                                       options.runtime_dir,
                                       "--slots",
                                       concat(options.slots),
                                       "--python",
                                       options.python,
                                       "--parked",
                                       concat(options.parked),
                                       "--shells",
                                       concat(options.shells),
                                       "--zygote",
                                       std::string(name_of(options.zygote)),
                                       "--zygote-forks",
                                       concat(options.zygote_forks),
                                       "--zygote-minutes",
                                       concat(options.zygote_minutes),
                                       "--zygote-spares",
                                       concat(options.zygote_spares),
                                       "--zygote-functions",
                                       concat(options.zygote_functions),
                                       "--zygote-idle-seconds",
                                       concat(options.zygote_idle_seconds),
                                       "--zygote-modules",
                                       options.zygote_modules,
                                       "--numpy-modules",
                                       options.numpy_modules};
    if (options.allow_no_limits) {
        arguments.emplace_back("--allow-no-limits");
    }
    if (options.trace) {
        arguments.emplace_back("--trace");
    }
    return arguments;
}

// Runs in the forked child: only calls that are safe between fork and exec.
[[noreturn]] void become_daemon(int socket, char* const* arguments) {
    // dup2 onto itself would keep close-on-exec set.
    const bool placed = socket == daemon_socket ? ::fcntl(socket, F_SETFD, 0) == 0
                                                : ::dup2(socket, daemon_socket) == daemon_socket;
    if (placed && ::syscall(SYS_close_range, daemon_socket + 1, ~0U, 0) == 0) {
        sigset_t none;
        sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        // A session of its own: Ctrl-C at the worker's terminal is the worker's to handle, which
        // needs its sandboxes while it drains.
        ::setsid();
        // The worker's environment holds keys; sandboxd gets none of it.
        char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        std::array<char*, 2> environment{path, nullptr};
        ::execve(arguments[0], arguments, environment.data());
    }
    ::_exit(127);
}

int milliseconds_left(deadline until) {
    if (until == never) {
        return -1;
    }
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

// Waits until `fd` is readable or hung up; false when the deadline passes first.
result<bool> await_readable(int fd, deadline until) {
    for (;;) {
        pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&one, 1, milliseconds_left(until));
        if (ready > 0) {
            return true;
        }
        if (ready == 0) {
            return false;
        }
        if (errno != EINTR) {
            return fail_errno("poll");
        }
    }
}

}  // namespace

result<client> client::launch(const launch_options& options, deadline until) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) < 0) {
        return fail_errno("socketpair for hearth-sandboxd");
    }
    unique_fd own(pair[0]);
    unique_fd theirs(pair[1]);
    std::vector<std::string> arguments = arguments_of(options);
    std::vector<char*> pointers;
    pointers.reserve(arguments.size() + 1);
    for (std::string& each : arguments) {
        pointers.push_back(each.data());
    }
    pointers.push_back(nullptr);
    const pid_t process = ::fork();
    if (process < 0) {
        return fail_errno("fork of hearth-sandboxd");
    }
    if (process == 0) {
        become_daemon(theirs.get(), pointers.data());
    }
    theirs.reset();
    unique_fd process_fd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
    if (!process_fd) {
        return fail_errno("pidfd_open of hearth-sandboxd");
    }
    client started(std::move(own), std::move(process_fd), process);
    if (auto greeted = started.await_hello(until); !greeted) {
        // Without its socket the daemon ends by itself; one that hangs is killed.
        constexpr seconds grace{2};
        if (auto ended = started.close_and_wait(after(grace)); !ended) {
            ::kill(process, SIGKILL);
            ::waitpid(process, nullptr, 0);
        }
        return propagate(greeted);
    }
    return started;
}

result<> client::await_hello(deadline until) {
    auto readable = await_readable(socket_.get(), until);
    if (!readable) {
        return propagate(readable);
    }
    if (!*readable) {
        return fail(errc::deadline_exceeded, "hearth-sandboxd did not say hello in time");
    }
    auto first = receive();
    if (!first) {
        if (first.error().code == errc::closed) {
            return fail(errc::unavailable,
                        "hearth-sandboxd ended before its hello: check that the program is "
                        "installed and may be executed");
        }
        return propagate(first);
    }
    if (!first->has_value()) {
        return fail(errc::protocol, "hearth-sandboxd sent an empty greeting");
    }
    if (const auto* failed = std::get_if<start_failed_packet>(&(*first)->what)) {
        return fail(errc::unavailable, std::string(text_of(failed->text)));
    }
    const auto* hello = std::get_if<hello_packet>(&(*first)->what);
    if (hello == nullptr) {
        return fail(errc::protocol, "hearth-sandboxd did not start with a hello");
    }
    hello_ = *hello;
    return {};
}

result<> client::create(const create_packet& wanted, int code_directory) {
    if (auto ok = check_limits(wanted); !ok) {
        return ok;
    }
    const std::array descriptors{code_directory};
    return send_packet(socket_.get(), bytes_of(wanted), descriptors);
}

result<> client::kill(std::uint64_t sandbox_id) {
    kill_packet wanted;
    wanted.header.sandbox_id = sandbox_id;
    return send_packet(socket_.get(), bytes_of(wanted));
}

result<std::optional<received_event>> client::receive() {
    received_packet packet;
    auto state = receive_packet(socket_.get(), packet);
    if (!state) {
        return propagate(state);
    }
    if (*state == receive_state::empty) {
        return std::optional<received_event>();
    }
    if (*state == receive_state::closed) {
        return fail(errc::closed, "hearth-sandboxd is gone");
    }
    auto what = decode_event(packet.view(), packet.descriptor_count);
    if (!what) {
        return propagate(what);
    }
    received_event out{.what = *what,
                       .control_stream = std::move(packet.descriptors[0]),
                       .output = std::move(packet.descriptors[1]),
                       .shown = {}};
    if (const auto* created = std::get_if<created_packet>(&*what)) {
        std::size_t next = created_descriptors_min;
        for (std::uint8_t i = 0; i < gauge_count; ++i) {
            if ((created->gauges >> i & 1U) != 0) {
                out.shown[gauge{i}] = std::move(packet.descriptors[next++]);
            }
        }
    }
    return std::optional<received_event>(std::move(out));
}

result<int> client::close_and_wait(deadline until) {
    socket_.reset();
    auto ended = await_readable(process_fd_.get(), until);
    if (!ended) {
        return propagate(ended);
    }
    if (!*ended) {
        return fail(errc::deadline_exceeded, "hearth-sandboxd did not exit in time");
    }
    int status = 0;
    if (::waitpid(process_, &status, 0) < 0) {
        return fail_errno("waitpid of hearth-sandboxd");
    }
    return status;
}

}  // namespace hearth::sandbox
