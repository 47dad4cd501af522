// What separation costs: starts and memory in the three modes of HEARTH_ZYGOTE, in turns in one
// run. Prints one JSON object. All that it waits for is an event, but for sandboxes to be idle.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "bench_host.h"

namespace {

using namespace hearth;
using namespace hearth::bench;
using namespace hearth::sandbox;
namespace fs = std::filesystem;

constexpr int warm_up_rounds = 3;
constexpr std::uint32_t functions = 8;  // whose idle sandboxes are weighed
constexpr int most_sandboxes = 4;       // of each

struct mode {
    const char* name;
    zygote_mode zygote;
    start_way expected;
};
constexpr mode modes[] = {{"shared", zygote_mode::shared, start_way::zygote},
                          {"per-function", zygote_mode::per_function, start_way::zygote},
                          {"off", zygote_mode::off, start_way::program}};

launch_options options_of(char* const* values, const mode& which, const char* part) {
    return {.program = values[1],
            .instance = concat("bench-", ::getpid(), "-", which.name, "-", part),
            .runtime_dir = values[2],
            .parked = 0,
            .zygote = which.zygote,
            .zygote_spares = 1,
            .zygote_functions = functions};
}

function_key key_of(std::uint64_t number) {
    return {.words = {number, 1}};
}

void print_percentiles(const char* name, std::vector<double> values) {
    std::ranges::sort(values);
    const auto at = [&](double part) {
        return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
    };
    std::printf("\"%s\": {\"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f}, ", name, at(0.5), at(0.9),
                at(0.99));
}

// Request to the handler's first line, with shells where there is a zygote. Of per-function also
// the first start of a function, which takes a spare zygote.
void print_starts(char* const* values, int rounds, int code) {
    std::vector<host> hosts;
    for (const mode& each : modes) {
        hosts.emplace_back(options_of(values, each, "starts"));
    }
    std::vector<std::vector<double>> later(hosts.size());
    std::vector<std::vector<double>> first(hosts.size());
    for (int round = -warm_up_rounds; round < rounds; ++round) {
        for (std::size_t i = 0; i < hosts.size(); ++i) {
            for (auto* into : {&first[i], &later[i]}) {
                if (modes[i].zygote != zygote_mode::off) {
                    hosts[i].await_shells(shells_default / 2);
                }
                hosts[i].function = key_of(static_cast<std::uint64_t>(round + warm_up_rounds + 1));
                const double took = hosts[i].run(code, modes[i].expected).first_line;
                if (round >= 0) {
                    into->push_back(took);
                }
            }
            if (modes[i].zygote == zygote_mode::per_function) {
                hosts[i].await_next_zygote();
            }
        }
    }
    for (std::size_t i = 0; i < hosts.size(); ++i) {
        print_percentiles(concat(modes[i].name, " first").c_str(), first[i]);
        print_percentiles(concat(modes[i].name, " later").c_str(), later[i]);
    }
}

// Kilobytes of all that descends from `process`, and itself. A zygote's memory lies in a file, most
// of which nobody has mapped by a page at a time: it counts once and as a whole.
std::uint64_t tree_kb(pid_t process, std::set<ino_t>& files) {
    std::uint64_t sum = 0;
    std::ifstream rollup(concat("/proc/", process, "/smaps_rollup"));
    for (std::string word; rollup >> word;) {
        std::uint64_t value = 0;
        if (word == "Pss_Anon:" || word == "Pss_File:") {
            rollup >> value;
            sum += value;
        }
    }
    std::ifstream maps(concat("/proc/", process, "/maps"));
    for (std::string line; std::getline(maps, line);) {
        struct stat file{};
        const std::string range = line.substr(0, line.find(' '));
        if (line.find("memfd:zygote") != std::string::npos &&
            ::stat(concat("/proc/", process, "/map_files/", range).c_str(), &file) == 0 &&
            files.insert(file.st_ino).second) {
            constexpr std::uint64_t blocks_per_kb = 2;
            sum += static_cast<std::uint64_t>(file.st_blocks) / blocks_per_kb;
        }
    }
    std::ifstream list(concat("/proc/", process, "/task/", process, "/children"));
    for (pid_t child = 0; list >> child;) {
        sum += tree_kb(child, files);
    }
    return sum;
}

// Megabytes of everything below sandboxd, and it, with so many idle sandboxes of each function.
void print_memory(char* const* values, int code) {
    for (const mode& each : modes) {
        auto options = options_of(values, each, "memory");
        options.shells = 0;
        host in(options);
        std::printf("\"%s MB\": [", each.name);
        for (int of_each = 1; of_each <= most_sandboxes; ++of_each) {
            for (std::uint32_t number = 1; number <= functions; ++number) {
                in.function = key_of(number);
                const running& made = in.await_created(in.request(code));
                send_init(made);
                await_answer(made);
                invoke(made);
                if (made.way != each.expected) {
                    stop("a sandbox was made in another way than it was to be");
                }
                if (of_each == 1 && each.zygote == zygote_mode::per_function) {
                    in.await_next_zygote();
                }
            }
            // Idle ones give memory back after a second.
            std::this_thread::sleep_for(seconds(2));
            constexpr double kb_per_mb = 1024;
            std::set<ino_t> files;
            std::printf("%s%.1f", of_each == 1 ? "" : ", ",
                        static_cast<double>(tree_kb(in.control().process(), files)) / kb_per_mb);
        }
        std::printf("], ");
    }
}

}  // namespace

int main(int count, char** values) {
    if (count != 4) {
        stop("usage: hearth-bench-modes SANDBOXD RUNTIME_DIR ROUNDS");
    }
    const int rounds = std::max(std::atoi(values[3]), 1);
    std::string directory = (fs::temp_directory_path() / "hearth-bench-XXXXXX").string();
    if (::mkdtemp(directory.data()) == nullptr) {
        stop("no temporary directory");
    }
    fs::permissions(directory, fs::perms(0755));
    std::ofstream(directory + "/main.py")
        << "import time\n\n\ndef handler(event, context):\n    return time.monotonic_ns()\n";
    const unique_fd code(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    std::printf("{");
    print_starts(values, rounds, code.get());
    print_memory(values, code.get());
    std::printf("\"functions\": %u, \"rounds\": %d}\n", functions, rounds);
    fs::remove_all(directory);
    return 0;
}
