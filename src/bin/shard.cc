#include "shard.h"

#include <future>

#include "base/log.h"
#include "coro/frame_pool.h"
#include "coro/remote.h"

namespace hearth {

shard::shard(unique_fd listening, const http::router& routes, http::server_options options,
             http::observer& watcher)
    : listening_(std::move(listening)),
      routes_(routes),
      options_(std::move(options)),
      watcher_(watcher) {}

task<void> shard::serve(uring::ring& home) {
    ring_ = &home;
    server_ = std::make_unique<http::server>(routes_, options_, &watcher_);
    net::listener from(std::move(listening_));
    co_await server_->run(from);
}

task<bool> shard::drain(deadline until) {
    return run_on(*ring_, ring_->remote_tasks(), [this, until] { return drain_here(until); });
}

task<bool> shard::drain_here(deadline until) {
    co_await server_->drain(until);
    co_return true;
}

// The server's tasks and timers belong to the ring of its thread, so it may not outlive that.
void shard::close() {
    server_.reset();
    ring_ = nullptr;
}

task<shard::load> shard::measure() {
    return run_on(*ring_, ring_->remote_tasks(), [this] { return measure_here(); });
}

task<shard::load> shard::measure_here() {
    co_return load{.ring = ring_->statistics(),
                   .frames_live = this_thread_frames().live,
                   .connections = server_->connection_count(),
                   .connections_accepted = server_->counters().accepted,
                   .operations_in_flight = ring_->in_flight()};
}

task<std::string> shard::dump_tasks() {
    return run_on(*ring_, ring_->remote_tasks(), [this] { return dump_here(); });
}

task<std::string> shard::dump_here() {
    co_return ring_->dump_tasks();
}

result<std::unique_ptr<shard_thread>> shard_thread::start(shard& work) {
    std::promise<result<>> started;
    auto made = std::make_unique<shard_thread>();
    made->thread_ = std::thread([&work, &started] {
        auto ring = uring::ring::create();
        if (!ring) {
            started.set_value(propagate(ring));
            return;
        }
        uring::ring& home = **ring;
        // The promise is the starter's: it is gone once it has been answered.
        home.run([](shard& serving, uring::ring& on, std::promise<result<>>& answer) -> task<void> {
            scope tasks;
            tasks.spawn(serving.serve(on));
            co_await sleep_until(steady_clock::now());  // the server has begun
            answer.set_value({});
            co_await tasks.join();
        }(work, home, started));
        work.close();
    });
    if (auto outcome = started.get_future().get(); !outcome) {
        made->thread_.join();
        return propagate(outcome);
    }
    return made;
}

}  // namespace hearth
