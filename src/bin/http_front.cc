#include "http_front.h"

#include <csignal>

#include <unistd.h>

#include "base/log.h"
#include "coro/when_all.h"

namespace hearth {

http_front::http_front(uring::ring& home, entrance& from, const http::router& routes,
                       http::observer& watcher)
    : home_(home) {
    for (unique_fd& each : from.listening) {
        shards_.push_back(std::make_unique<shard>(std::move(each), routes,
                                                  http::server_options{.tls = from.tls}, watcher));
    }
}

task<result<>> http_front::start(scope& serving) {
    serving.spawn(shards_.front()->serve(home_));
    co_await sleep_until(steady_clock::now());  // it has begun
    for (std::size_t i = 1; i < shards_.size(); ++i) {
        auto thread = shard_thread::start(*shards_[i]);
        if (!thread) {
            shards_.resize(i);
            co_return propagate(thread);
        }
        threads_.push_back(std::move(*thread));
    }
    co_return result<>{};
}

task<void> http_front::drain(deadline until) {
    draining_ = true;
    std::vector<task<bool>> drains;
    drains.reserve(shards_.size());
    for (auto& each : shards_) {
        drains.push_back(each->drain(until));
    }
    co_await when_all(std::move(drains));
}

void http_front::join() {
    for (auto& each : threads_) {
        each->join();
    }
}

task<void> http_front::measure(ring_gauges& into) {
    into.begin();
    for (auto& each : shards_) {
        into.add(co_await each->measure());
        if (draining_) {
            break;
        }
    }
}

task<void> http_front::log_tasks() {
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        if (i > 0 && draining_) {
            co_return;
        }
        log::info("tasks", {{"thread", i}, {"tree", co_await shards_[i]->dump_tasks()}});
    }
}

task<void> watch_signals(uring::signal_watch& signals, http_front& front, event& stopping) {
    for (;;) {
        auto signal = co_await signals.next(never);
        if (!signal) {
            co_return;
        }
        if (*signal == SIGUSR1) {
            co_await front.log_tasks();
        } else if (!stopping.is_set()) {
            stopping.set();
        } else if (*signal == SIGINT) {
            log::warning("interrupted again: leaving at once");
            ::_exit(128 + SIGINT);  // hearth-sandboxd cleans up behind us
        }
    }
}

}  // namespace hearth
