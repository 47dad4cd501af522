#include "aws/subprocess.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

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

result<std::string> read_output(int fd, deadline until) {
    std::string output;
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
        if (left <= 0) {
            return fail(errc::unavailable, "it takes too long");
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
    pid_t child = -1;
    const int failed =
        ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        return fail(errc::unavailable,
                    concat(command[0], " cannot be started: ", std::strerror(failed)));
    }
    writing.reset();
    auto output = read_output(reading.get(), until);
    if (!output) {
        ::kill(child, SIGKILL);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (output && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
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
