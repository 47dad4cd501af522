#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/socket.h>

#include "base/result.h"

namespace hearth::net {

// A socket address of any family that Hearth uses.
struct address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    [[nodiscard]] const sockaddr* data() const noexcept {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
    [[nodiscard]] int family() const noexcept { return storage.ss_family; }
};

// "127.0.0.1:8080", "[::1]:8080" or "/run/hearth.sock". Numeric only: names are looked up
// elsewhere.
[[nodiscard]] result<address> parse_address(std::string_view text);
// The same forms back; "unix" for an unnamed socket.
[[nodiscard]] std::string to_text(const address& from);
[[nodiscard]] std::string peer_name(int socket);
// Whose a connected socket's other end is, for limits per peer: an IPv4 address, the first 64 bits
// of an IPv6 address (which is what one host is given), "uid 1000" for a Unix socket.
[[nodiscard]] std::string origin_of(int socket);
// 0 for a socket without ports.
[[nodiscard]] std::uint16_t local_port(int socket);

}  // namespace hearth::net
