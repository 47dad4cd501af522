#pragma once

#include <memory>
#include <vector>

#include "coro/event.h"
#include "coro/scope.h"
#include "entrance.h"
#include "http/options.h"
#include "http/router.h"
#include "ring_gauges.h"
#include "shard.h"
#include "uring/ring.h"
#include "uring/signals.h"

namespace hearth {

// The HTTP side of a program: a shard on the home ring, beside the domain, and one on each further
// thread. Home ring only.
class http_front {
public:
    // Takes the sockets of `from`. `routes` and `watcher` outlive it.
    http_front(uring::ring& home, entrance& from, const http::router& routes,
               http::observer& watcher);

    // All shards serve when it returns, the first one in `serving`. An error leaves those that were
    // started, to be drained like the others.
    task<result<>> start(scope& serving);
    // Stops accepting and waits for the open connections.
    task<void> drain(deadline until);
    // After drain(), and after `serving` was joined: waits for the threads.
    void join();

    // Sums all threads up into `into`.
    task<void> measure(ring_gauges& into);
    // The trees of suspended tasks, into the log.
    task<void> log_tasks();

private:
    uring::ring& home_;
    std::vector<std::unique_ptr<shard>> shards_;
    std::vector<std::unique_ptr<shard_thread>> threads_;
    bool draining_ = false;  // the other threads may have ended; the first is this one
};

// SIGTERM and SIGINT set `stopping`, a second SIGINT ends the process at once, SIGUSR1 has `front`
// log its tasks. Until it is stopped. All outlive it.
task<void> watch_signals(uring::signal_watch& signals, http_front& front, event& stopping);

}  // namespace hearth
