#include "aws/subprocess.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"

namespace hearth::aws {
namespace {

constexpr std::size_t output_bytes_max = 64u << 10;
constexpr seconds time_max{60};
constexpr milliseconds end_poll{10};  // of a program that closed its output and runs on
constexpr std::string_view remedy =
    "; run it by hand: it must print its JSON and end, and may not wait for a person";

std::unexpected<error> too_long() {
    return fail(errc::unavailable, concat("it takes too long", remedy));
}

result<std::string> read_output(int fd, deadline until) {
    std::string output;
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
        if (left <= 0) {
            return too_long();
        }
        pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(left));
        if (ready < 0 && errno != EINTR) {
            return fail_errno("poll");
        }
        if (ready <= 0) {
            continue;
        }
        char block[4096];
        const ssize_t count = ::read(fd, block, sizeof block);
        if (count < 0) {
            return fail_errno("read");
        }
        if (count == 0) {
            return output;
        }
        output.append(block, static_cast<std::size_t>(count));
        if (output.size() > output_bytes_max) {
            return fail(errc::unavailable, "it writes too much");
        }
    }
}

// Its status; nothing when it had to be killed. What it has started is killed either way.
std::optional<int> await_end(pid_t child, deadline until) {
    int status = 0;
    for (;;) {
        const pid_t ended = ::waitpid(child, &status, WNOHANG);
        const bool over = ended != 0 && (ended == child || errno != EINTR);
        if (over || steady_clock::now() >= until) {
            ::kill(-child, SIGKILL);
            if (over) {
                return status;
            }
            while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
            }
            return std::nullopt;
        }
        std::this_thread::sleep_for(end_poll);
    }
}

result<std::string> run_now(std::vector<std::string>& command, deadline until) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return fail_errno("pipe2");
    }
    const unique_fd reading(ends[0]);
    unique_fd writing(ends[1]);
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (auto& word : command) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, writing.get(), 1);
    // A group of its own, so that what it starts ends with it.
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    pid_t child = -1;
    const int failed =
        ::posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        return fail(errc::unavailable,
                    concat(command[0], " cannot be started: ", std::strerror(failed)));
    }
    writing.reset();
    auto output = read_output(reading.get(), until);
    const auto status = await_end(child, output ? until : steady_clock::now());
    if (output && !status) {
        return too_long();
    }
    if (output && (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0)) {
        return fail(errc::unavailable, concat(command[0], " failed"));
    }
    return output;
}

}  // namespace

task<result<std::string>> run_process(thread_pool& blocking, std::vector<std::string> command,
                                      deadline until) {
    if (command.empty()) {
        co_return fail(errc::invalid_argument, "the command is empty, or a quote does not end");
    }
    until = std::min(until, after(time_max));
    auto done = co_await blocking.run([&command, until] { return run_now(command, until); });
    if (!done) {
        co_return propagate(done);
    }
    co_return std::move(*done);
}

}  // namespace hearth::aws
