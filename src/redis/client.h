#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "coro/wait_list.h"
#include "net/tls.h"
#include "redis/connection.h"
#include "redis/endpoint.h"

namespace hearth::redis {

struct client_settings {
    endpoint where;
    std::shared_ptr<const net::tls_context> tls;  // wanted when where.tls
    // One attempt: look-up, connection, TLS, AUTH and SELECT.
    milliseconds connect_timeout{2'000};
    // Between attempts: a random part of a pause that doubles from the least to the most, so that a
    // fleet does not come back all at once.
    milliseconds pause_min{50};
    milliseconds pause_max{5'000};
    // A peer is asked so often, and given up when nothing at all comes of it within the time: a
    // connection whose other end is gone looks alive until something is sent.
    milliseconds ping_every{10'000};
    milliseconds ping_timeout{5'000};
};

// Keeps one connection to a Redis server, and makes it anew when it ends. Ring thread only.
class client {
public:
    // What a subscriber needs; all may be empty.
    struct callbacks {
        std::function<void(const reply&)> on_push;
        std::function<void()> on_connected;
        std::function<void()> on_lost;
    };
    struct statistics {
        std::uint64_t connected = 0;       // connections made
        std::uint64_t failed = 0;          // attempts that did not succeed
        std::uint64_t lost = 0;            // connections that ended unasked
        std::uint64_t commands = 0;        // sent
        std::uint64_t command_errors = 0;  // calls that ended without a reply
    };

    // `lookups` outlives the client.
    client(client_settings settings, thread_pool& lookups);
    client(client_settings settings, thread_pool& lookups, callbacks told);

    // Connects and reconnects until stopped.
    task<void> run();

    // Waits for the first connection that is being made, up to `until`. While there is none after
    // that: errc::unavailable at once, so that callers can fall back. Otherwise as
    // connection::call(), and an error reply of the server is errc::unavailable (LOADING, READONLY,
    // OOM, …), errc::permission_denied (NOAUTH, NOPERM) or errc::invalid_argument with its text;
    // NOSCRIPT is errc::not_found.
    task<result<reply>> call(command asked, deadline until);
    [[nodiscard]] result<> send(const command& asked);

    [[nodiscard]] bool connected() const noexcept { return current_ != nullptr; }
    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }

private:
    task<result<std::unique_ptr<connection>>> connect(deadline until);
    task<result<>> introduce(connection& fresh, deadline until);
    task<void> serve(connection& fresh, error& why);
    task<void> keep_alive();
    task<bool> is_alive();
    [[nodiscard]] milliseconds next_pause();

    client_settings settings_;
    thread_pool& lookups_;
    callbacks told_;
    connection* current_ = nullptr;  // authenticated and usable
    bool tried_ = false;             // the first attempt is over
    wait_list tried_changed_;
    milliseconds pause_{0};
    statistics counts_;
};

}  // namespace hearth::redis
