#include "ctrl/client_address.h"

#include <array>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/concat.h"

namespace hearth::ctrl {
namespace {

constexpr std::size_t network_bytes = 8;  // 64 bits

std::string text_of(int family, const void* address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    return ::inet_ntop(family, address, text.data(), text.size()) == nullptr ? "" : text.data();
}

}  // namespace

std::string client_of(std::string_view peer) {
    const auto end = peer.rfind("]:");
    if (!peer.starts_with('[') || end == std::string_view::npos) {
        return std::string(peer.substr(0, peer.rfind(':')));
    }
    std::string host(peer.substr(1, end - 1));
    host.resize(std::min(host.find('%'), host.size()));  // a link-local address has its interface
    in6_addr address{};
    if (::inet_pton(AF_INET6, host.c_str(), &address) != 1) {
        return host;
    }
    if (IN6_IS_ADDR_V4MAPPED(&address)) {
        return text_of(AF_INET, &address.s6_addr[12]);
    }
    for (std::size_t i = network_bytes; i < sizeof address.s6_addr; ++i) {
        address.s6_addr[i] = 0;
    }
    return concat(text_of(AF_INET6, &address), "/64");
}

}  // namespace hearth::ctrl
