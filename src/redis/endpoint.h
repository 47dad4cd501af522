#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::redis {

inline constexpr std::uint16_t port_default = 6379;

// Where a Redis server is and who we are to it. Pure data; any thread.
struct endpoint {
    std::string host;  // a name or an address; a path with a leading '/' for a Unix socket
    std::uint16_t port = port_default;
    bool tls = false;
    std::string user;      // empty: the default user
    std::string password;  // empty: no authentication
    std::uint32_t database = 0;
};

// What REDIS_HOST may hold:
//     host[:port]                                       plain TCP
//     redis[s]://[[user]:password@]host[:port][/database]   TLS with the s
//     unix:///path/of/the/socket
// User and password are percent-encoded. errc::invalid_argument says which part is wrong; the
// message never holds the password.
[[nodiscard]] result<endpoint> parse_endpoint(std::string_view text);

// "host:port" or the path, for people and logs: no secrets.
[[nodiscard]] std::string to_text(const endpoint& where);

}  // namespace hearth::redis
