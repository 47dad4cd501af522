#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "net/stream.h"
#include "net/tls.h"

namespace hearth::worker {

// Where a controller takes lanes (LANE_URL): "tcp://host:port", "tls://host:port", an IPv6 address
// in brackets, or "unix:/path".
struct lane_endpoint {
    std::string host;  // or the path of a Unix socket
    std::uint16_t port = 0;
    bool tls = false;
};

// errc::invalid_argument says what the form is.
[[nodiscard]] result<lane_endpoint> parse_lane_endpoint(std::string_view text);

// The same form back.
[[nodiscard]] std::string to_text(const lane_endpoint& where);

// A stream there, with the TLS handshake done where it is a tls:// address; `tls` may be null
// otherwise. `until` binds all of it but the look-up of the name (net/connect.h).
task<result<std::unique_ptr<net::stream>>> connect_lane(thread_pool& lookups, lane_endpoint where,
                                                        std::shared_ptr<const net::tls_context> tls,
                                                        deadline until);

}  // namespace hearth::worker
