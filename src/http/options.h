#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "http/body.h"
#include "http/body_decoder.h"
#include "http/parser.h"
#include "net/tls.h"

namespace hearth::http {

// What a server allows its clients. Every limit has a defined answer, named beside it.
struct server_options {
    parser_limits head;  // 414, 431
    body_limits body;    // 413; handlers usually set lower ones of their own

    // Open connections. Beyond it accepting pauses, and the kernel's backlog, then the clients,
    // wait. Each one holds an operation of the ring, so this stays below half of its completion
    // queue.
    std::size_t connections_max = 2000;

    milliseconds idle_timeout{60'000};       // between requests: closed without a word
    milliseconds handshake_timeout{10'000};  // of TLS: closed
    milliseconds head_timeout{10'000};       // from a head's first byte to its last: 408
    body_pace pace;                          // of the body: 408
    // A response must be taken within write_timeout plus its size at write_rate_min: cut off.
    milliseconds write_timeout{30'000};
    std::uint64_t write_bytes_per_second_min = 16u << 10;

    // How much of a body that its handler did not want is read and dropped to keep the connection.
    std::uint64_t discard_bytes_max = 64u << 10;
    milliseconds discard_timeout{2000};
    // Before closing on a client that may still be sending: read and drop, so that the reset that
    // unread bytes cause does not destroy the response on its way.
    std::uint64_t linger_bytes_max = 256u << 20;
    milliseconds linger_timeout{5000};
    // While draining: how long a new connection may take to send its first request, and how long an
    // idle one, or a handshake that has begun, is still waited for.
    milliseconds first_request_grace{1000};
    milliseconds drain_last_call{100};

    std::shared_ptr<const net::tls_context> tls;  // null: plain
};

// One finished exchange, for logs and metrics. Views are valid during the call.
struct exchange {
    std::string_view method;  // empty when the request line was not understood
    std::string_view path;    // decoded; empty likewise
    std::string_view route;   // the pattern, or router::unmatched
    std::string_view request_id;
    std::string_view client;
    int status = 0;                    // 499 when the client left before there was an answer
    nanoseconds duration{0};           // from the head's first byte to the response's last
    std::uint64_t request_bytes = 0;   // of the body
    std::uint64_t response_bytes = 0;  // of the body
};

class observer {
public:
    // On the thread of the connection.
    virtual void on_exchange(const exchange& done) noexcept = 0;

protected:
    ~observer() = default;
};

}  // namespace hearth::http
