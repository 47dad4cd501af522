#pragma once

#include <array>
#include <csignal>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace hearth::test {

// A forked process that runs `body(output)` and exits with what it returns; what it writes to
// `output` can be read here. Killed and reaped at the end. Fork before making threads.
class child_process {
public:
    template <class Body>
    explicit child_process(Body body) {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe(ends.data()), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(ends[0]);
            ::_exit(body(ends[1]));
        }
        ::close(ends[1]);
        output_ = unique_fd(ends[0]);
    }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;
    ~child_process() {
        kill();
        wait();
    }

    [[nodiscard]] int output() const noexcept { return output_.get(); }
    void kill() const noexcept {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
        }
    }
    // The exit status as waitpid tells it.
    int wait() noexcept {
        int status = -1;
        if (pid_ > 0) {
            ::waitpid(std::exchange(pid_, -1), &status, 0);
        }
        return status;
    }
    // Everything the process writes until it ends.
    std::string read_to_end() const {
        std::string text;
        std::array<char, 4096> buffer;
        for (;;) {
            const ssize_t count = ::read(output(), buffer.data(), buffer.size());
            if (count <= 0) {
                return text;
            }
            text.append(buffer.data(), static_cast<std::size_t>(count));
        }
    }

private:
    pid_t pid_ = -1;
    unique_fd output_;
};

}  // namespace hearth::test
