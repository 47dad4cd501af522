#include <sys/eventfd.h>

#include "base/unique_fd.h"
#include "bench/micro/ring_fixture.h"
#include "coro/thread_pool.h"
#include "coro/when_all.h"
#include "uring/operation.h"

namespace hearth {
namespace {

// The cheapest operation that goes through the kernel: one submission, one completion, one turn.
task<> poll_loop(benchmark::State& state) {
    const unique_fd ready(::eventfd(1, EFD_CLOEXEC));
    for (auto _ : state) {
        std::ignore = co_await uring::poll_once(ready.get(), POLLIN, never);
    }
}
void ring_poll_ready(benchmark::State& state) {
    bench::on_ring(state, poll_loop);
}
BENCHMARK(ring_poll_ready);

task<> poll_with_deadline(benchmark::State& state) {
    const unique_fd ready(::eventfd(1, EFD_CLOEXEC));
    for (auto _ : state) {
        std::ignore = co_await uring::poll_once(ready.get(), POLLIN, after(seconds(30)));
    }
}
void ring_poll_ready_with_deadline(benchmark::State& state) {
    bench::on_ring(state, poll_with_deadline);
}
BENCHMARK(ring_poll_ready_with_deadline);

task<int> poll_many_times(benchmark::State& state, int fd, bool& go_on, bool measures) {
    if (measures) {
        for (auto _ : state) {
            std::ignore = co_await uring::poll_once(fd, POLLIN, never);
        }
        go_on = false;
    }
    while (go_on) {
        std::ignore = co_await uring::poll_once(fd, POLLIN, never);
    }
    co_return 0;
}
// The same in 64 coroutines at once: a turn of the loop is shared. Time is per turn of all 64.
task<> poll_in_batches(benchmark::State& state) {
    const unique_fd ready(::eventfd(1, EFD_CLOEXEC));
    bool go_on = true;
    std::vector<task<int>> all;
    all.reserve(64);
    for (int i = 0; i < 64; ++i) {
        all.push_back(poll_many_times(state, ready.get(), go_on, i == 0));
    }
    std::ignore = co_await when_all(std::move(all));
}
void ring_poll_ready_64_at_once(benchmark::State& state) {
    bench::on_ring(state, poll_in_batches);
}
BENCHMARK(ring_poll_ready_64_at_once);

task<> pool_loop(benchmark::State& state) {
    thread_pool pool(1, 8);
    for (auto _ : state) {
        std::ignore = co_await pool.run([] { return 1; });
    }
}
void thread_pool_round_trip(benchmark::State& state) {
    bench::on_ring(state, pool_loop);
}
BENCHMARK(thread_pool_round_trip)->UseRealTime();

}  // namespace
}  // namespace hearth
