#include "bench/micro/ring_fixture.h"
#include "coro/channel.h"
#include "coro/scope.h"

namespace hearth {
namespace {

task<> drain(channel<int>& values) {
    while (co_await values.pop()) {
    }
}

// One value through a channel between two coroutines; range(0) is the capacity.
task<> pass_values(benchmark::State& state) {
    channel<int> values(static_cast<std::size_t>(state.range(0)));
    scope tasks;
    tasks.spawn(drain(values));
    for (auto _ : state) {
        std::ignore = co_await values.push(1);
    }
    values.close();
    co_await tasks.join();
}
void channel_push_to_pop(benchmark::State& state) {
    bench::on_ring(state, pass_values);
}
BENCHMARK(channel_push_to_pop)->Arg(1)->Arg(64);

}  // namespace
}  // namespace hearth
