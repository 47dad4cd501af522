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
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bare_python.h"
#include "base/concat.h"
#include "bench_host.h"

namespace {

using namespace hearth;
using namespace hearth::bench;
using namespace hearth::sandbox;

constexpr int turns = 20;
constexpr int warm_up_calls = 200;
constexpr std::chrono::microseconds sleep_before{100};
std::string call_sandbox(const running& to) {
    static std::uint64_t nonce = 1;
    const auto head =
        encode_invoke_head(++nonce, wall_clock_ms() + 10'000, "request", hello_event.size());
    const std::string frame = concat(*head, hello_event);
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
        if (call().find(hello_answer) == std::string::npos) {
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

void run(const char* sandboxd, const char* runtime, const handler_folder& folder, int calls) {
    const unique_fd code(::open(folder.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
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
    run(values[1], values[2], handler_folder(), std::max(std::atoi(values[3]), 1));
    return 0;
}
