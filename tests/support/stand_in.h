#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>

#include "base/check.h"
#include "base/concat.h"
#include "tests/support/sockets.h"

namespace hearth::test {

// A stand-in for AWS's services from npm, a process of its own that ends with this object or with
// this process: fauxqs (SQS and S3), dynalite (DynamoDB).
class stand_in {
public:
    enum class kind : std::uint8_t { sqs_s3, dynamodb };

    explicit stand_in(kind which) { start(which); }
    stand_in(const stand_in&) = delete;
    stand_in& operator=(const stand_in&) = delete;
    ~stand_in() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    // One for all tests of this process; they make queues, buckets and tables of their own.
    static stand_in& shared(kind which) {
        static std::unique_ptr<stand_in> running[2];
        auto& mine = running[static_cast<std::size_t>(which)];
        if (!mine) {
            mine = std::make_unique<stand_in>(which);
        }
        return *mine;
    }
    // Empty when it can be started.
    [[nodiscard]] static std::string missing(kind which) {
        const auto package = which == kind::sqs_s3 ? "fauxqs" : "dynalite";
        const std::filesystem::path folder = std::filesystem::path(modules()) / package;
        if (std::filesystem::exists(folder / "package.json")) {
            return {};
        }
        return concat("NOT TESTED: the stand-in ", package, " is not in ", modules(),
                      "; do: tools/localcloud.d/install, or name a folder with it in "
                      "HEARTH_LOCALCLOUD_MODULES");
    }
    [[nodiscard]] std::string url() const { return concat("http://127.0.0.1:", port_); }

    // Holds it still: connections stay, nothing answers.
    void freeze() const { ::kill(pid_, SIGSTOP); }
    void thaw() const { ::kill(pid_, SIGCONT); }

private:
    static std::string modules() {
        const char* set = std::getenv("HEARTH_LOCALCLOUD_MODULES");
        return set != nullptr && *set != '\0' ? set : HEARTH_LOCALCLOUD_MODULES;
    }
    void start(kind which) {
        fd_pair in = make_pipe();
        fd_pair out = make_pipe();
        std::vector<std::string> words{"node", HEARTH_STAND_IN_SCRIPT, modules(),
                                       which == kind::sqs_s3 ? "sqs_s3" : "dynamodb"};
        std::vector<char*> arguments;
        arguments.reserve(words.size() + 1);
        for (auto& word : words) {
            arguments.push_back(word.data());
        }
        arguments.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, in.ours.get(), 0);
        ::posix_spawn_file_actions_adddup2(&actions, out.theirs.get(), 1);
        const int failed =
            ::posix_spawnp(&pid_, "node", &actions, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        HEARTH_CHECK(failed == 0, "node cannot be started; tools/test installs it");
        out.theirs.reset();
        stdin_ = std::move(in.theirs);
        char c = 0;
        while (::read(out.ours.get(), &c, 1) == 1 && c != '\n') {
            port_ += c;
        }
        HEARTH_CHECK(c == '\n', "the stand-in did not start");
    }

    pid_t pid_ = -1;
    unique_fd stdin_;  // its end is the stand-in's
    std::string port_;
};

}  // namespace hearth::test
