#include "net/address.h"

#include <charconv>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/concat.h"

namespace hearth::net {
namespace {

result<address> unix_address(std::string_view path) {
    address made;
    auto* un = reinterpret_cast<sockaddr_un*>(&made.storage);
    if (path.size() >= sizeof un->sun_path) {
        return fail(errc::invalid_argument, concat("socket path is longer than ",
                                                   sizeof un->sun_path - 1, " bytes: ", path));
    }
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, path.data(), path.size());
    made.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return made;
}

}  // namespace

result<address> parse_address(std::string_view text) {
    if (text.contains('\0')) {
        return fail(errc::invalid_argument, "an address must not contain a zero byte");
    }
    if (text.starts_with('/')) {
        return unix_address(text);
    }
    const std::size_t colon = text.rfind(':');
    std::uint16_t port = 0;
    const std::string_view digits = colon == std::string_view::npos ? "" : text.substr(colon + 1);
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    std::string host(text.substr(0, digits.empty() ? 0 : colon));
    if (failure != std::errc() || end != digits.data() + digits.size() || host.empty()) {
        return fail(errc::invalid_argument, concat("not an address: \"", text,
                                                   "\"; expected 127.0.0.1:8080 or [::1]:8080"));
    }
    address made;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&made.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&made.storage);
    const bool bracketed = host.front() == '[' && host.back() == ']';
    if (bracketed) {
        host = host.substr(1, host.size() - 2);
    }
    if (!bracketed && ::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        made.size = sizeof *v4;
    } else if (bracketed && ::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        made.size = sizeof *v6;
    } else {
        return fail(errc::invalid_argument, concat("not a numeric address: \"", text,
                                                   "\"; expected 127.0.0.1:8080 or [::1]:8080"));
    }
    return made;
}

std::string to_text(const address& from) {
    char host[INET6_ADDRSTRLEN] = "";
    if (from.family() == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&from.storage);
        ::inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        return concat(host, ":", ntohs(v4->sin_port));
    }
    if (from.family() == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&from.storage);
        ::inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        return concat("[", host, "]:", ntohs(v6->sin6_port));
    }
    if (from.family() == AF_UNIX && from.size > offsetof(sockaddr_un, sun_path)) {
        const auto* un = reinterpret_cast<const sockaddr_un*>(&from.storage);
        const std::size_t room = from.size - offsetof(sockaddr_un, sun_path);
        const std::string_view path(un->sun_path, ::strnlen(un->sun_path, room));
        return path.empty() ? "unix" : std::string(path);
    }
    return "unix";
}

std::string peer_name(int socket) {
    address peer;
    peer.size = sizeof peer.storage;
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer.storage), &peer.size) != 0) {
        return "gone";  // the peer reset the connection before it was looked at
    }
    return to_text(peer);
}

std::string origin_of(int socket) {
    address peer;
    peer.size = sizeof peer.storage;
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer.storage), &peer.size) != 0) {
        return "gone";
    }
    if (peer.family() == AF_UNIX) {
        ucred who{};
        socklen_t size = sizeof who;
        return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0
                   ? concat("uid ", who.uid)
                   : "unix";
    }
    char host[INET6_ADDRSTRLEN] = "";
    if (peer.family() == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&peer.storage);
        ::inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        return host;
    }
    auto v6 = reinterpret_cast<const sockaddr_in6*>(&peer.storage)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        constexpr std::size_t mapped_at = 12;
        ::inet_ntop(AF_INET, &v6.s6_addr[mapped_at], host, sizeof host);
        return host;
    }
    constexpr std::size_t network_bytes = 8;
    std::memset(&v6.s6_addr[network_bytes], 0, sizeof v6.s6_addr - network_bytes);
    ::inet_ntop(AF_INET6, &v6, host, sizeof host);
    return concat(host, "/64");
}

std::uint16_t local_port(int socket) {
    address local;
    local.size = sizeof local.storage;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&local.storage), &local.size) != 0) {
        return 0;
    }
    if (local.family() == AF_INET) {
        return ntohs(reinterpret_cast<const sockaddr_in*>(&local.storage)->sin_port);
    }
    if (local.family() == AF_INET6) {
        return ntohs(reinterpret_cast<const sockaddr_in6*>(&local.storage)->sin6_port);
    }
    return 0;
}

}  // namespace hearth::net
