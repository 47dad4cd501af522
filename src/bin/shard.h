#pragma once

#include <memory>
#include <thread>

#include "http/server.h"
#include "net/listener.h"
#include "uring/ring.h"

namespace hearth {

// One thread's HTTP server: a ring, a listening socket of its own on the shared port, a server. The
// first one runs on the main thread beside the domain; the others on threads of their own.
class shard {
public:
    shard(unique_fd listening, const http::router& routes, http::server_options options,
          http::observer& watcher);

    // Serves on the calling thread, whose ring is `home`, until drain() or stop.
    task<void> serve(uring::ring& home);
    // Stops accepting and waits for the open connections. From any executor's thread.
    task<bool> drain(deadline until);

    // On the serving thread, after it was drained and before its ring is gone. Nothing is called
    // afterwards.
    void close();

    struct load {
        uring::ring_statistics ring;
        std::uint64_t frames_live = 0;
        std::uint64_t connections = 0;
        std::uint64_t connections_accepted = 0;
        std::uint64_t operations_in_flight = 0;
    };
    // Both from any executor's thread.
    task<load> measure();
    task<std::string> dump_tasks();

private:
    // On the serving thread.
    task<bool> drain_here(deadline until);
    task<load> measure_here();
    task<std::string> dump_here();

    unique_fd listening_;
    const http::router& routes_;
    http::server_options options_;
    http::observer& watcher_;
    uring::ring* ring_ = nullptr;
    std::unique_ptr<http::server> server_;
};

// A shard's thread. The shard is serving when start() returns, and drained before join().
class shard_thread {
public:
    [[nodiscard]] static result<std::unique_ptr<shard_thread>> start(shard& work);
    void join() { thread_.join(); }

private:
    std::thread thread_;
};

}  // namespace hearth
