#include "worker/lane_endpoint.h"

#include <charconv>

#include "base/concat.h"
#include "net/connect.h"

namespace hearth::worker {

result<lane_endpoint> parse_lane_endpoint(std::string_view text) {
    constexpr std::string_view unix_scheme = "unix:/";
    constexpr std::string_view tcp_scheme = "tcp://";
    constexpr std::string_view tls_scheme = "tls://";
    const auto refused = [text] {
        return fail(errc::invalid_argument,
                    concat("\"", text,
                           "\" is no address of a lane; write tcp://host:port, tls://host:port or "
                           "unix:/path"));
    };
    lane_endpoint made;
    if (text.starts_with(unix_scheme)) {
        made.host = text.substr(unix_scheme.size() - 1);
        return made;
    }
    made.tls = text.starts_with(tls_scheme);
    if (!made.tls && !text.starts_with(tcp_scheme)) {
        return refused();
    }
    auto rest = text.substr(tcp_scheme.size());
    const auto colon = rest.rfind(':');
    if (colon == std::string_view::npos) {
        return refused();
    }
    const auto port = rest.substr(colon + 1);
    const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), made.port);
    auto host = rest.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    } else if (host.contains(':')) {
        return refused();
    }
    if (failure != std::errc() || end != port.data() + port.size() || made.port == 0 ||
        host.empty() || host.contains('/')) {
        return refused();
    }
    made.host = host;
    return made;
}

std::string to_text(const lane_endpoint& where) {
    if (where.port == 0) {
        return concat("unix:", where.host);
    }
    const bool v6 = where.host.contains(':');
    return concat(where.tls ? "tls://" : "tcp://", v6 ? "[" : "", where.host, v6 ? "]:" : ":",
                  where.port);
}

task<result<std::unique_ptr<net::stream>>> connect_lane(thread_pool& lookups, lane_endpoint where,
                                                        std::shared_ptr<const net::tls_context> tls,
                                                        deadline until) {
    auto link = co_await net::connect_host(lookups, where.host, where.port, until);
    if (!link || !where.tls) {
        co_return link;
    }
    co_return co_await net::connect_tls(std::move(tls), std::move(*link), where.host, until);
}

}  // namespace hearth::worker
