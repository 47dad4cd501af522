#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "coro/event.h"
#include "coro/intrusive_list.h"
#include "coro/scope.h"
#include "coro/wait_list.h"
#include "http/connection.h"
#include "http/date.h"
#include "http/options.h"
#include "http/router.h"
#include "net/listener.h"

namespace hearth::http {

// An HTTP/1.1 server for one event-loop thread; several threads each have their own, with a
// listener of their own on the same port. Shared between them is only the router, which is
// read-only.
//
//     server web(routes, options, &metrics);
//     scope tasks;
//     tasks.spawn(web.run(listening));
//     …                              // until it is time to stop
//     co_await web.drain(after(seconds(20)));
//     co_await tasks.join();
class server {
public:
    struct statistics {
        std::uint64_t accepted = 0;       // connections ever
        std::uint64_t exchanges = 0;      // responses sent or given up
        std::uint64_t accept_errors = 0;  // mostly: out of descriptors
        std::uint64_t pauses = 0;         // times that accepting waited for connections_max
    };

    // `routes` and `watcher` (may be null) outlive the server. `parent` stops everything at once,
    // in the middle of what it does; it may be null.
    server(const router& routes, const server_options& options, observer* watcher = nullptr,
           stop_source* parent = nullptr);
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    // Accepts and serves until drain() or a stop. Returns when the last connection has ended and
    // `from` is closed. Once per server.
    task<void> run(net::listener& from);

    // Stops accepting, closes idle connections at once, lets the others finish what they have
    // begun, and cuts off what is left at `until`. Requests that reached this host before are
    // answered. Returns when no connection is left. On the server's thread.
    task<void> drain(deadline until);

    [[nodiscard]] bool draining() const noexcept { return draining_; }
    [[nodiscard]] std::size_t connection_count() const noexcept { return tasks_.size(); }
    [[nodiscard]] const statistics& counters() const noexcept { return counters_; }

    // For its connections.
    [[nodiscard]] const server_options& options() const noexcept { return options_; }
    [[nodiscard]] const router& routes() const noexcept { return routes_; }
    void finished(const exchange& done) noexcept {
        ++counters_.exchanges;
        if (watcher_ != nullptr) {
            watcher_->on_exchange(done);
        }
    }
    [[nodiscard]] std::string_view date() { return date_.now(); }

private:
    task<bool> wait_for_room();
    task<void> accept_leftovers(net::listener& from);
    void admit_ready(net::listener& from);
    task<void> serve_connection(std::unique_ptr<net::stream> peer);
    void admit(std::unique_ptr<net::stream> peer);
    void stop_waiting(bool fresh_too) noexcept;

    const router& routes_;
    server_options options_;
    observer* watcher_;
    date_cache date_;
    stop_source accepting_;
    scope tasks_;  // one per connection
    intrusive_list<connection> connections_;
    wait_list ended_;  // notified whenever a connection has ended
    event over_;       // run() has returned, or never began
    bool draining_ = false;
    statistics counters_;
};

}  // namespace hearth::http
