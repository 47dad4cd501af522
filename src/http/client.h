#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"

namespace hearth::http {

struct client_settings {
    // PEM file of the authorities that servers' certificates are checked against; empty: the
    // system's.
    std::string authorities_file;
    // Connections at once, to all hosts and to one. Requests beyond wait for one, up to their
    // deadline.
    std::size_t connections_max = 128;
    std::size_t connections_per_host_max = 64;
    milliseconds connect_timeout{5'000};
};

struct client_request {
    std::string method = "GET";
    std::string url;  // absolute; http or https, nothing else
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;  // sent with its length; without one where it is empty and the method is GET
    std::size_t answer_bytes_max = 8u << 20;  // a longer body is errc::too_large
};

struct client_response {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
    std::string body;

    // The first of that name, in lower case.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
};

// HTTP/1.1 and HTTP/2 (over TLS, where offered) to other services: libcurl does the protocol, the
// ring waits for its sockets. Connections are kept and shared. No redirects, no proxies, no
// cookies: what a request names is what it gets. Ring thread only.
class client {
public:
    struct statistics {
        std::uint64_t requests = 0;
        std::uint64_t failed = 0;       // ended without a response
        std::uint64_t connections = 0;  // made
    };

    // Exceptions: none; an error when the system lacks what libcurl needs.
    [[nodiscard]] static result<std::unique_ptr<client>> create(const client_settings& settings);
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client();

    // Waits for libcurl's sockets until stopped; every send() needs it to be running.
    task<void> run();

    // Any status is a response. errc::unavailable: no connection, or it broke, with libcurl's
    // words; errc::deadline_exceeded, cancelled, too_large; errc::invalid_argument for a URL or
    // header that cannot be sent. After an error the server may or may not have acted.
    task<result<client_response>> send(client_request request, deadline until);

    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }

private:
    class engine;
    class transfer;

    explicit client(std::unique_ptr<engine> ready);

    std::unique_ptr<engine> engine_;
    statistics counts_;
};

}  // namespace hearth::http
