#include <benchmark/benchmark.h>

#include "bench/load/histogram.h"
#include "bench/paths/paths.h"

namespace hearth {
namespace {

// HTTP, JSON and frames of a warm call; tests/perf counts their instructions.
const bool registered = [] {
    for (const bench::path& each : bench::all_paths()) {
        benchmark::RegisterBenchmark(std::string(each.name).c_str(),
                                     [&each](benchmark::State& state) {
                                         for (auto _ : state) {
                                             benchmark::DoNotOptimize(each.run());
                                         }
                                     });
    }
    return true;
}();

// What hearth-bench pays for each call that it counts.
void histogram_add(benchmark::State& state) {
    bench::histogram counted;
    std::uint64_t value = 1;
    for (auto _ : state) {
        value = value * 6364136223846793005U + 1442695040888963407U;
        counted.add(value >> 40);
    }
    benchmark::DoNotOptimize(counted.count());
}
BENCHMARK(histogram_add);

}  // namespace
}  // namespace hearth
