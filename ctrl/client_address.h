#pragma once

#include <string>
#include <string_view>

namespace hearth::ctrl {

// What limits per client are kept by, from a peer's address with its port ("192.0.2.1:5000",
// "[2001:db8::1]:5000", or a Unix socket's path): the IPv4 address, also where it is mapped into
// IPv6, and the first 64 bits of an IPv6 address, of which one subscriber has all the rest.
[[nodiscard]] std::string client_of(std::string_view peer);

}  // namespace hearth::ctrl
