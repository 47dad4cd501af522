// Runs one path of bench/paths so often, for tests/perf/instructions_test.py. With "toolchain" it
// says what decides how many instructions that takes.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <simdjson.h>

#include "bench/paths/paths.h"

int main(int count, char** values) {
    using namespace hearth;
    if (count == 2 && std::string_view(values[1]) == "toolchain") {
        std::printf(R"({"compiler": "%s", "libstdc++": %d, "simdjson": "%s"})"
                    "\n",
                    __VERSION__, __GLIBCXX__,
                    simdjson::get_active_implementation()->name().c_str());
        return 0;
    }
    if (count == 3) {
        std::uint64_t sum = 0;
        for (const bench::path& each : bench::all_paths()) {
            for (long left = each.name == values[1] ? std::atol(values[2]) : 0; left > 0; --left) {
                sum += each.run();
            }
        }
        return sum > 0 ? 0 : 1;
    }
    if (count == 1) {
        for (const bench::path& each : bench::all_paths()) {
            std::printf("%s\n", std::string(each.name).c_str());
        }
        return 0;
    }
    std::fprintf(stderr, "usage: hearth-perf-paths [PATH TIMES | toolchain]\n");
    return 1;
}
