#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "coro/timers.h"

namespace hearth {
namespace {

class idle_timer final : public timer {
    void on_timer() noexcept override {}
};

// What an operation with a deadline pays: armed and disarmed among range(0) others.
void timer_arm_and_disarm(benchmark::State& state) {
    timer_queue queue;
    const auto others = std::make_unique<idle_timer[]>(static_cast<std::size_t>(state.range(0)));
    const steady_time now = steady_clock::now();
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        queue.arm(others[static_cast<std::size_t>(i)], now + milliseconds(30'000 + i));
    }
    idle_timer one;
    for (auto _ : state) {
        queue.arm(one, now + seconds(40));
        one.disarm();
    }
}
BENCHMARK(timer_arm_and_disarm)->Arg(0)->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace hearth
