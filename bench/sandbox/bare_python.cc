#include "bare_python.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_host.h"

namespace hearth::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* handler_source =
    "def handler(event, context):\n"
    "    return {'message': 'Hello, ' + event['name'] + '!'}\n";
constexpr const char* bare_source =
    "import json, os, sys\n"
    "sys.path.insert(0, sys.argv[1])\n"
    "from main import handler\n"
    "while event := os.read(0, 65536):\n"
    "    os.write(1, json.dumps(handler(json.loads(event), None)).encode())\n";

struct ends {
    unique_fd read;
    unique_fd write;
};

ends make_pipe() {
    std::array<int, 2> fds{};
    if (::pipe2(fds.data(), O_CLOEXEC) != 0) {
        stop("no pipe");
    }
    return {unique_fd(fds[0]), unique_fd(fds[1])};
}

}  // namespace

handler_folder::handler_folder() : path_(fs::temp_directory_path() / "hearth-bench-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
        stop("no temporary directory");
    }
    fs::permissions(path_, fs::perms(0755));
    std::ofstream(path_ + "/main.py") << handler_source;
}

handler_folder::~handler_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

bare_python::bare_python(const handler_folder& code) {
    ends in = make_pipe();
    ends out = make_pipe();
    std::array<std::string, 4> words{"/usr/bin/python3", "-c", bare_source, code.path()};
    std::array<char*, 5> arguments{words[0].data(), words[1].data(), words[2].data(),
                                   words[3].data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
    if (::posix_spawn(&process_, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) {
        stop("cannot run /usr/bin/python3");
    }
    ::posix_spawn_file_actions_destroy(&actions);
    requests_ = std::move(in.write);
    answers_ = std::move(out.read);
}

bare_python::~bare_python() {
    requests_.reset();
    ::waitpid(process_, nullptr, 0);
}

std::string bare_python::call() const {
    std::array<char, 4096> bytes{};
    if (::write(requests_.get(), hello_event.data(), hello_event.size()) < 0) {
        stop("the bare Python is gone");
    }
    const ssize_t got = ::read(answers_.get(), bytes.data(), bytes.size());
    if (got <= 0) {
        stop("the bare Python did not answer");
    }
    return {bytes.data(), static_cast<std::size_t>(got)};
}

}  // namespace hearth::bench
