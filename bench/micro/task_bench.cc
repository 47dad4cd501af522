#include "bench/micro/ring_fixture.h"
#include "coro/scope.h"
#include "coro/task.h"
#include "coro/when_all.h"
#include "coro/yield.h"

namespace hearth {
namespace {

[[gnu::noinline]] task<int> answer(int value) {
    co_return value;
}

task<> create_and_await(benchmark::State& state) {
    int value = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(value = co_await answer(value));
    }
}
void task_create_and_await(benchmark::State& state) {
    bench::on_ring(state, create_and_await);
}
BENCHMARK(task_create_and_await);

task<> yield_loop(benchmark::State& state) {
    for (auto _ : state) {
        co_await yield();
    }
}
void task_yield(benchmark::State& state) {
    bench::on_ring(state, yield_loop);
}
BENCHMARK(task_yield);

task<> nothing() {
    co_return;
}
task<> spawn_and_join(benchmark::State& state) {
    for (auto _ : state) {
        scope tasks;
        tasks.spawn(nothing());
        co_await tasks.join();
    }
}
void scope_spawn_and_join(benchmark::State& state) {
    bench::on_ring(state, spawn_and_join);
}
BENCHMARK(scope_spawn_and_join);

task<> all_of_two(benchmark::State& state) {
    for (auto _ : state) {
        benchmark::DoNotOptimize(co_await when_all(answer(1), answer(2)));
    }
}
void when_all_of_two(benchmark::State& state) {
    bench::on_ring(state, all_of_two);
}
BENCHMARK(when_all_of_two);

}  // namespace
}  // namespace hearth
