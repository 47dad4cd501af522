#include "net/resolve.h"

#include <memory>

#include <netdb.h>

#include "base/concat.h"
#include "net/address.h"

namespace hearth::net {
namespace {

result<std::vector<std::string>> look_up(const std::string& host, std::uint16_t port) {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(host.c_str(), nullptr, &wanted, &found);
    if (failed != 0) {
        return fail(errc::unavailable, concat("the name ", host, " could not be looked up: ",
                                              std::string_view(::gai_strerror(failed))));
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
    std::vector<std::string> addresses;
    for (const addrinfo* each = list.get(); each != nullptr; each = each->ai_next) {
        char text[NI_MAXHOST];
        if (::getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0,
                          NI_NUMERICHOST) != 0) {
            continue;
        }
        const std::string_view numeric = text;
        addresses.push_back(each->ai_family == AF_INET6 ? concat('[', numeric, "]:", port)
                                                        : concat(numeric, ':', port));
    }
    if (addresses.empty()) {
        return fail(errc::unavailable, concat("the name ", host, " has no address"));
    }
    return addresses;
}

}  // namespace

task<result<std::vector<std::string>>> resolve(thread_pool& lookups, std::string host,
                                               std::uint16_t port) {
    if (host.starts_with('/')) {
        co_return std::vector{host};
    }
    const bool is_ipv6 = host.find(':') != std::string::npos;
    std::string direct = is_ipv6 ? concat('[', host, "]:", port) : concat(host, ':', port);
    if (parse_address(direct)) {
        co_return std::vector{std::move(direct)};
    }
    auto found = co_await lookups.run([&host, port] { return look_up(host, port); });
    if (!found) {
        co_return propagate(found);
    }
    co_return std::move(*found);
}

}  // namespace hearth::net
