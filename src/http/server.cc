#include "http/server.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "http/exchange_stop.h"

namespace hearth::http {
namespace {

// Accepting fails when descriptors run out; trying again at once would spin.
constexpr milliseconds accept_retry_delay{100};

}  // namespace

server::server(const router& routes, const server_options& options, observer* watcher,
               stop_source* parent)
    : routes_(routes), options_(options), watcher_(watcher), accepting_(parent), tasks_(parent) {
    over_.set();
}

task<void> server::run(net::listener& from) {
    HEARTH_CHECK(over_.is_set(), "a server runs one listener");
    over_.reset();
    stop_source* const outer = co_await exchange_stop(&accepting_);
    while (!accepting_.requested() && co_await wait_for_room()) {
        auto peer = co_await from.accept(never);
        if (peer) {
            admit(std::move(*peer));
            continue;
        }
        if (peer.error().code == errc::cancelled || peer.error().code == errc::closed) {
            break;
        }
        ++counters_.accept_errors;
        log::warning("accepting a connection failed", {{"error", peer.error().message}});
        co_await sleep_until(after(accept_retry_delay));
    }
    co_await exchange_stop(outer);
    co_await accept_leftovers(from);
    co_await from.close();
    co_await tasks_.join();
    over_.set();
}

task<bool> server::wait_for_room() {
    if (tasks_.size() >= options_.connections_max) {
        ++counters_.pauses;
    }
    while (tasks_.size() >= options_.connections_max) {
        auto woken = co_await ended_.wait();
        if (!woken) {
            co_return false;
        }
    }
    co_return true;
}

// What the kernel has accepted is served; only what it has not is turned away.
task<void> server::accept_leftovers(net::listener& from) {
    if (!draining_) {
        co_return;
    }
    co_await from.stop_queueing();
    admit_ready(from);
    // Handshakes that had begun take a round trip more.
    [[maybe_unused]] const auto slept = co_await sleep_until(after(options_.drain_last_call));
    admit_ready(from);
}

void server::admit_ready(net::listener& from) {
    while (tasks_.size() < options_.connections_max) {
        auto peer = from.take_ready();
        if (peer == nullptr) {
            return;
        }
        admit(std::move(peer));
    }
}

void server::admit(std::unique_ptr<net::stream> peer) {
    ++counters_.accepted;
    tasks_.spawn(serve_connection(std::move(peer)));
}

task<void> server::serve_connection(std::unique_ptr<net::stream> peer) {
    if (options_.tls != nullptr) {
        auto secured = co_await net::accept_tls(options_.tls, std::move(peer),
                                                after(options_.handshake_timeout));
        if (!secured) {
            log::debug("a TLS handshake failed", {{"error", secured.error().message}});
            ended_.notify_all();
            co_return;
        }
        peer = std::move(*secured);
    }
    {
        connection client(*this, std::move(peer), co_await current_stop());
        connections_.push_back(client);
        co_await client.run();
        client.unlink();
    }
    ended_.notify_all();
}

void server::stop_waiting(bool fresh_too) noexcept {
    connections_.for_each([&](connection& each) { each.stop_waiting(fresh_too); });
}

task<void> server::drain(deadline until) {
    draining_ = true;
    accepting_.request_stop();
    stop_waiting(false);
    auto over = co_await over_.wait(std::min(until, after(options_.first_request_grace)));
    if (!over) {
        stop_waiting(true);
        over = co_await over_.wait(until);
    }
    if (!over) {
        log::warning("connections were cut off at the end of the grace",
                     {{"connections", tasks_.size()}});
        tasks_.request_stop();
        co_await over_.wait();
    }
}

}  // namespace hearth::http
