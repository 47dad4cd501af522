#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "coro/frame_pool.h"
#include "coro/thread_pool.h"
#include "http/server.h"
#include "uring/ring.h"

namespace hearth::http {

// A handler set whose every route shows one behaviour of the server.
class example_routes {
public:
    example_routes();

    [[nodiscard]] const router& routes() const { return routes_; }
    // Lets the requests to GET /wait be answered; on the server's thread.
    event& released() { return released_; }
    // Fulfilled when the first request to GET /wait has reached its handler.
    std::promise<void> waiting;

private:
    task<response> hello(request& asked);     // GET /
    task<response> show(request& asked);      // GET /item/:id
    task<response> echo(request& asked);      // POST /echo
    task<response> echo_ten(request& asked);  // POST /ten: at most ten bytes
    task<response> ignore(request& asked);    // POST /ignore: does not read the body
    task<response> store(request& asked);     // POST /store: through a file; answers its size
    task<response> wait(request& asked);      // GET /wait
    task<response> form(request& asked);      // POST /form: lists the parts
    task<response> large(request& asked);     // GET /large: 8 MB in three parts

    router routes_;
    event released_;
    bool announced_ = false;
    thread_pool pool_{1, 16};
};

inline constexpr std::size_t large_body_bytes = 8u << 20;

// A real server on a ring and a thread of its own, on a free port of the loopback.
class running_server {
public:
    explicit running_server(const server_options& options = {}, observer* watcher = nullptr);
    ~running_server() { stop(); }
    running_server(const running_server&) = delete;
    running_server& operator=(const running_server&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] example_routes& app() { return app_; }
    // Runs `work` on the server's thread and waits for it.
    void on_server(const std::function<void()>& work);
    // Begins to drain; returns at once.
    void begin_drain(milliseconds grace = milliseconds(20'000));
    // Drains and ends the thread. More calls do nothing.
    void stop();

    [[nodiscard]] server& web() { return *server_; }
    // After stop(): coroutine frames that the server left behind.
    [[nodiscard]] std::int64_t leaked_frames() const { return leaked_frames_; }
    [[nodiscard]] const server::statistics& counters() const { return counters_; }

private:
    void run_thread(const server_options& options, observer* watcher);
    task<void> main(const server_options& options, observer* watcher);

    example_routes app_;
    std::unique_ptr<uring::ring> ring_;
    server* server_ = nullptr;
    event stopping_;
    milliseconds grace_{20'000};
    std::promise<std::uint16_t> started_;
    std::uint16_t port_ = 0;
    std::int64_t leaked_frames_ = 0;
    server::statistics counters_;
    bool drain_begun_ = false;
    std::thread thread_;
};

// Open descriptors of this process.
[[nodiscard]] std::size_t count_descriptors();

}  // namespace hearth::http
