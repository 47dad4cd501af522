#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

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

}  // namespace hearth::worker
