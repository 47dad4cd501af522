// Cold starts in figures, for bench/cold and bench/sandbox/report: bubblewrap's and Hearth's in
// turns, in one run. Prints one JSON object; sandboxd's own account of each start's stages goes to
// standard error as log lines. All that it waits for is an event, but for sandboxes to be idle.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "bench_host.h"

namespace {

using namespace hearth;
using namespace hearth::bench;
using namespace hearth::sandbox;
namespace fs = std::filesystem;

constexpr int idle_ones = 20;
constexpr int warm_up_rounds = 10;

std::string percentiles(std::vector<double> values) {
    std::ranges::sort(values);
    const auto at = [&](double part) {
        return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
    };
    char text[96];
    std::snprintf(text, sizeof text, R"({"p50": %.3f, "p90": %.3f, "p99": %.3f})", at(0.5), at(0.9),
                  at(0.99));
    return text;
}

double bubblewraps_per_second(int functions, int at_once) {
    const steady_time start = steady_clock::now();
    int started = 0;
    int ended = 0;
    while (ended < functions) {
        while (started < functions && started - ended < at_once) {
            [[maybe_unused]] const pid_t process = spawn(bubblewrap());
            ++started;
        }
        ::waitpid(-1, nullptr, 0);
        ++ended;
    }
    return functions * 1000 / milliseconds_since(start);
}

// Each function is called for the first time: made, imported, ended. At most `at_once` at a time
// are on their way to their answer.
double sandboxes_per_second(host& in, int code, int functions, int at_once) {
    const steady_time start = steady_clock::now();
    std::deque<std::uint64_t> asked;
    int started = 0;
    int answered = 0;
    std::map<std::uint64_t, bool> waiting;  // init was sent, the answer is to come
    while (answered < functions) {
        while (started < functions && started - answered < at_once) {
            in.request(code);
            ++started;
        }
        std::vector<pollfd> sources{{.fd = in.control().descriptor(), .events = POLLIN}};
        std::vector<std::uint64_t> ids;
        for (const auto& [id, made] : in.live()) {
            if (!waiting[id]) {
                send_init(made);
                waiting[id] = true;
            }
            sources.push_back({.fd = made.stream.get(), .events = POLLIN});
            ids.push_back(id);
        }
        ::poll(sources.data(), sources.size(), -1);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (sources[i + 1].revents != 0) {
                await_answer(in.live()[ids[i]]);
                in.live().erase(ids[i]);
                ++answered;
            }
        }
        in.take_pending();
    }
    const double rate = functions * 1000 / milliseconds_since(start);
    while (in.ended().size() < static_cast<std::size_t>(functions)) {
        pollfd one{.fd = in.control().descriptor(), .events = POLLIN, .revents = 0};
        ::poll(&one, 1, -1);
        in.take_pending();
    }
    in.ended().clear();
    return rate;
}

double idle_sandbox_kb(host& in, int code) {
    const auto add = [&](int count) {
        for (int i = 0; i < count; ++i) {
            const running& made = in.await_created(in.request(code));
            send_init(made);
            await_answer(made);
            invoke(made);
        }
        // Idle ones give memory back after a second.
        std::this_thread::sleep_for(seconds(2));
        return tree_pss_kb(in.control().process());
    };
    const std::uint64_t few = add(idle_ones);
    const std::uint64_t many = add(idle_ones);
    return static_cast<double>(many - few) / idle_ones;
}

double idle_python_kb() {
    std::vector<pid_t> processes;
    std::vector<unique_fd> ready;
    const auto add = [&](int count) {
        for (int i = 0; i < count; ++i) {
            std::array<int, 2> ends{};
            if (::pipe(ends.data()) != 0) {
                stop("no pipe");
            }
            const unique_fd read(ends[0]);
            processes.push_back(spawn(
                {"/usr/bin/python3", "-c",
                 concat("import os, time\nos.write(", ends[1], ", b'x')\ntime.sleep(1000)")}));
            ::close(ends[1]);
            char byte = 0;
            if (::read(read.get(), &byte, 1) != 1) {
                stop("python3 did not start");
            }
        }
        std::uint64_t sum = 0;
        for (const pid_t each : processes) {
            sum += pss_kb(each);
        }
        return sum;
    };
    const std::uint64_t few = add(idle_ones);
    const std::uint64_t many = add(idle_ones);
    for (const pid_t each : processes) {
        ::kill(each, SIGKILL);
        ::waitpid(each, nullptr, 0);
    }
    return static_cast<double>(many - few) / idle_ones;
}

// What one row of the table is made of.
struct row {
    std::vector<double> created;
    std::vector<double> ready;
    std::vector<double> first_line;
    double processor_ms = 0;

    void add(const start_times& took) {
        created.push_back(took.created);
        ready.push_back(took.ready);
        first_line.push_back(took.first_line);
    }
};

void print_row(const char* name, const row& from) {
    std::printf(
        "\"%s\": {\"created_ms\": %s, \"ready_ms\": %s, \"first_line_ms\": %s, "
        "\"processor_ms\": %.2f}, ",
        name, percentiles(from.created).c_str(), percentiles(from.ready).c_str(),
        percentiles(from.first_line).c_str(),
        from.processor_ms / static_cast<double>(from.ready.size()));
}

// Bubblewrap leaves before its sandbox's init does, which then is nobody's child: adopted here, so
// that its time is counted. Called while this process has no other children.
double bubblewrap_processor_ms(int rounds) {
    const auto children_ms = [] {
        rusage used{};
        ::getrusage(RUSAGE_CHILDREN, &used);
        const auto ms = [](const timeval& time) {
            return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
        };
        return ms(used.ru_utime) + ms(used.ru_stime);
    };
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    const double before = children_ms();
    for (int i = 0; i < rounds; ++i) {
        [[maybe_unused]] const pid_t process = spawn(bubblewrap());
        while (::waitpid(-1, nullptr, 0) > 0) {
        }
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    return children_ms() - before;
}

struct arguments {
    std::string program;
    std::string runtime;
    int rounds = 1;

    [[nodiscard]] launch_options options(const char* name) const {
        return {.program = program,
                .instance = concat("bench-", ::getpid(), "-", name),
                .runtime_dir = runtime};
    }
};

// All rows in each round, so that they see the same machine.
void print_starts(const arguments& given, int code) {
    row wrapped;
    wrapped.processor_ms = bubblewrap_processor_ms(given.rounds);
    auto parked_options = given.options("parked");
    auto shell_options = given.options("shells");
    auto forked_options = given.options("forked");
    auto executed_options = given.options("executed");
    shell_options.parked = forked_options.parked = executed_options.parked = 0;
    forked_options.shells = 0;
    forked_options.trace = executed_options.trace = true;
    executed_options.zygote = zygote_mode::off;
    host with_parked(parked_options);
    host with_shells(shell_options);
    host without_shells(forked_options);
    host without_zygote(executed_options);
    with_parked.await_shells(shells_default);
    row parked;
    row shell;
    row forked;
    row executed;
    for (int round = -warm_up_rounds; round < given.rounds; ++round) {
        const bool counts = round >= 0;  // the first ones warm the caches
        const auto measure = [&](row& into, host& in, start_way expected) {
            if (round == 0) {
                into.processor_ms = -in.processor_ms();
            }
            const start_times took = in.run(code, expected);
            if (counts) {
                into.add(took);
            }
            if (round == given.rounds - 1) {
                // With what was made ahead for the next one, up to where it is now.
                into.processor_ms += in.processor_ms();
            }
        };
        with_parked.await_parked(parked_default);
        with_shells.await_shells(1);
        const double took = run_bubblewrap();
        if (counts) {
            wrapped.add({took, took, took});
        }
        measure(parked, with_parked, start_way::parked);
        measure(shell, with_shells, start_way::zygote);
        measure(forked, without_shells, start_way::zygote);
        measure(executed, without_zygote, start_way::program);
    }
    print_row("bwrap", wrapped);
    print_row("parked", parked);
    print_row("shell", shell);
    print_row("forked", forked);
    print_row("executed", executed);
}

// Starts per second with so many on their way at once, the best of neither side: medians of three.
void print_rates(const arguments& given, int code) {
    constexpr int starts = 200;
    std::printf("\"rates\": [");
    for (const int at_once : {1, 2, 4, 8, 16}) {
        std::vector<double> theirs;
        std::vector<double> ours;
        for (int round = 0; round < 3; ++round) {
            theirs.push_back(bubblewraps_per_second(starts, at_once));
            host usual(given.options("rate"));
            usual.await_parked(parked_default);
            usual.await_shells(shells_default);
            ours.push_back(sandboxes_per_second(usual, code, starts, at_once));
        }
        std::ranges::sort(theirs);
        std::ranges::sort(ours);
        std::printf("%s{\"at_once\": %d, \"bwrap\": %.1f, \"sandboxes\": %.1f}",
                    at_once == 1 ? "" : ", ", at_once, theirs[1], ours[1]);
    }
    std::printf("], ");
}

void print_density(const arguments& given, int code) {
    auto options = given.options("idle");
    options.parked = 0;
    options.shells = 0;
    host usual(options);
    const double sandbox_kb = idle_sandbox_kb(usual, code);
    std::printf("\"idle_sandbox_kb\": %.0f, \"idle_python_kb\": %.0f, ", sandbox_kb,
                idle_python_kb());
}

}  // namespace

int main(int count, char** values) {
    const bool only_starts = count == 5 && std::string_view(values[4]) == "starts";
    if (count != 4 && !only_starts) {
        stop("usage: hearth-bench-cold SANDBOXD RUNTIME_DIR ROUNDS [starts]");
    }
    const arguments given{values[1], values[2], std::max(std::atoi(values[3]), 1)};
    std::string directory = (fs::temp_directory_path() / "hearth-bench-XXXXXX").string();
    if (::mkdtemp(directory.data()) == nullptr) {
        stop("no temporary directory");
    }
    fs::permissions(directory, fs::perms(0755));
    std::ofstream(directory + "/main.py")
        << "import time\n\n\ndef handler(event, context):\n    return time.monotonic_ns()\n";
    const unique_fd code(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    std::printf("{");
    print_starts(given, code.get());
    if (!only_starts) {
        print_rates(given, code.get());
        print_density(given, code.get());
    }
    std::printf("\"rounds\": %d}\n", given.rounds);
    fs::remove_all(directory);
    return 0;
}
