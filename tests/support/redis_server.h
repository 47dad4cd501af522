#pragma once

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "tests/port/temporary_directory.h"

namespace hearth::test {

// A real redis-server on a Unix socket in a folder of its own, gone at the end. Nothing is kept on
// disk: after restart() it knows nothing, as a cache without persistence.
class redis_server {
public:
    explicit redis_server(std::vector<std::string> options = {}) : options_(std::move(options)) {
        start();
    }
    redis_server(const redis_server&) = delete;
    redis_server& operator=(const redis_server&) = delete;
    ~redis_server() { kill(); }

    [[nodiscard]] std::string socket() const { return folder_.file("redis.sock"); }
    [[nodiscard]] std::string url() const { return "unix://" + socket(); }
    [[nodiscard]] std::string file(std::string_view name) const { return folder_.file(name); }

    void start() {
        std::vector<std::string> words{"redis-server",
                                       "--port",
                                       "0",
                                       "--unixsocket",
                                       socket(),
                                       "--save",
                                       "",
                                       "--appendonly",
                                       "no",
                                       "--dir",
                                       folder_.path(),
                                       "--loglevel",
                                       "warning",
                                       "--logfile",
                                       folder_.file("log")};
        words.insert(words.end(), options_.begin(), options_.end());
        std::vector<char*> arguments;
        arguments.reserve(words.size() + 1);
        for (auto& word : words) {
            arguments.push_back(word.data());
        }
        arguments.push_back(nullptr);
        const int failed =
            ::posix_spawnp(&pid_, "redis-server", nullptr, nullptr, arguments.data(), environ);
        HEARTH_CHECK(failed == 0, "redis-server cannot be started; tools/test installs it");
        const deadline until = after(seconds(20));
        while (!answers()) {
            HEARTH_CHECK(steady_clock::now() < until, "redis-server did not come up");
            HEARTH_CHECK(::waitpid(pid_, nullptr, WNOHANG) == 0, "redis-server ended at once");
            std::this_thread::sleep_for(milliseconds(5));  // it tells nobody when it is ready
        }
    }
    void kill() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
    }
    // Holds it still: connections stay, nothing answers.
    void freeze() const { ::kill(pid_, SIGSTOP); }
    void thaw() const { ::kill(pid_, SIGCONT); }

private:
    [[nodiscard]] bool answers() const {
        const unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        socket().copy(address.sun_path, sizeof address.sun_path - 1);
        return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
               0;
    }

    temporary_directory folder_;
    std::vector<std::string> options_;
    pid_t pid_ = -1;
};

}  // namespace hearth::test
