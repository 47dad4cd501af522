// The hop to a warm sandbox and back, for bench/compare/pipe: one event to a handler in a complete
// sandbox, by hearth-sandboxd's own stream and frames, beside the same event to a bare python3 at
// the end of two pipes, which parses it, calls the same handler and writes the result. Both are
// blocking calls of this thread, in turns: back to back, and each after a sleep, as calls come that
// somebody makes. By then the processors have gone idle and must be woken. Prints one JSON object
// with microseconds.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "bench_host.h"

namespace {

using namespace hearth;
using namespace hearth::bench;
using namespace hearth::sandbox;
namespace fs = std::filesystem;

constexpr int turns = 20;
constexpr int warm_up_calls = 200;
constexpr std::chrono::microseconds sleep_before{100};
constexpr std::string_view event = R"({"name": "Ada"})";
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

// A python3 that answers on its standard output what comes on its standard input.
class bare_python {
public:
    explicit bare_python(const std::string& folder) {
        ends in = make_pipe();
        ends out = make_pipe();
        std::array<std::string, 4> words{"/usr/bin/python3", "-c", bare_source, folder};
        std::array<char*, 5> arguments{words[0].data(), words[1].data(), words[2].data(),
                                       words[3].data(), nullptr};
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
        if (::posix_spawn(&process_, arguments[0], &actions, nullptr, arguments.data(), environ) !=
            0) {
            stop("cannot run /usr/bin/python3");
        }
        ::posix_spawn_file_actions_destroy(&actions);
        requests_ = std::move(in.write);
        answers_ = std::move(out.read);
    }
    ~bare_python() {
        requests_.reset();
        ::waitpid(process_, nullptr, 0);
    }
    bare_python(const bare_python&) = delete;
    bare_python& operator=(const bare_python&) = delete;

    std::string call() const {
        std::array<char, 4096> bytes{};
        if (::write(requests_.get(), event.data(), event.size()) < 0) {
            stop("the bare Python is gone");
        }
        const ssize_t got = ::read(answers_.get(), bytes.data(), bytes.size());
        if (got <= 0) {
            stop("the bare Python did not answer");
        }
        return {bytes.data(), static_cast<std::size_t>(got)};
    }

private:
    pid_t process_ = -1;
    unique_fd requests_;
    unique_fd answers_;
};

std::string call_sandbox(const running& to) {
    static std::uint64_t nonce = 1;
    const auto head =
        encode_invoke_head(++nonce, wall_clock_ms() + 10'000, "request", event.size());
    const std::string frame = concat(*head, event);
    if (::send(to.stream.get(), frame.data(), frame.size(), MSG_NOSIGNAL) < 0) {
        stop("an invocation could not be sent");
    }
    return await_answer(to);
}

template <class Call>
void measure(std::vector<double>& into, int calls, bool asleep, const Call& call) {
    constexpr double us_per_ms = 1e3;
    for (int i = 0; i < calls; ++i) {
        if (asleep) {
            std::this_thread::sleep_for(sleep_before);
        }
        const steady_time start = steady_clock::now();
        if (call().find("Hello, Ada!") == std::string::npos) {
            stop("an answer is not the handler's");
        }
        into.push_back(milliseconds_since(start) * us_per_ms);
    }
}

void print(const char* name, std::vector<double> values, const char* after) {
    std::ranges::sort(values);
    const auto at = [&](double part) {
        return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
    };
    std::printf(R"("%s": {"p50Us": %.1f, "p90Us": %.1f, "p99Us": %.1f}%s)", name, at(0.5), at(0.9),
                at(0.99), after);
}

void run(const char* sandboxd, const char* runtime, const std::string& folder, int calls) {
    const unique_fd code(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    host sandboxes({.program = sandboxd,
                    .instance = concat("bench-", ::getpid(), "-hop"),
                    .runtime_dir = runtime});
    const std::uint64_t id = sandboxes.request(code.get());
    const running& sandbox = sandboxes.await_created(id);
    send_init(sandbox);
    await_answer(sandbox);
    {
        const bare_python bare(folder);
        struct side {
            std::vector<double> ours;
            std::vector<double> theirs;
        };
        side busy;
        side slept;
        const auto take_turn = [&](side& into, int count, bool asleep) {
            measure(into.theirs, count, asleep, [&] { return bare.call(); });
            measure(into.ours, count, asleep, [&] { return call_sandbox(sandbox); });
        };
        take_turn(busy, warm_up_calls, false);
        busy = {};
        for (int turn = 0; turn < turns; ++turn) {
            take_turn(busy, std::max(calls / turns, 1), false);
            take_turn(slept, std::max(calls / turns, 1), true);
        }
        std::printf("{");
        print("sandbox", busy.ours, ", ");
        print("pipe", busy.theirs, ", ");
        print("sandboxAfterSleep", slept.ours, ", ");
        print("pipeAfterSleep", slept.theirs, "}\n");
    }
    sandboxes.end(id);
}

}  // namespace

int main(int count, char** values) {
    if (count != 4) {
        stop("usage: hearth-bench-hop SANDBOXD RUNTIME_DIR CALLS");
    }
    std::string folder = (fs::temp_directory_path() / "hearth-bench-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) {
        stop("no temporary directory");
    }
    fs::permissions(folder, fs::perms(0755));
    std::ofstream(folder + "/main.py") << handler_source;
    run(values[1], values[2], folder, std::max(std::atoi(values[3]), 1));
    fs::remove_all(folder);
    return 0;
}
