#include "redis/endpoint.h"

#include <charconv>
#include <optional>

#include "base/concat.h"

namespace hearth::redis {
namespace {

constexpr std::uint32_t database_max = 1'000'000;  // far above any server's `databases`

template <class T>
std::optional<T> parse_number(std::string_view text, T least, T most) {
    T value{};
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc() || end != text.data() + text.size() || value < least ||
        value > most) {
        return std::nullopt;
    }
    return value;
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        std::uint8_t byte = 0;
        if (i + 3 > text.size()) {
            return std::nullopt;
        }
        const char* digits = text.data() + i + 1;
        const auto [end, failed] = std::from_chars(digits, digits + 2, byte, 16);
        if (failed != std::errc() || end != digits + 2) {
            return std::nullopt;
        }
        out += static_cast<char>(byte);
        i += 2;
    }
    return out;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) {
        return false;
    }
    text.remove_prefix(prefix.size());
    return true;
}

result<> parse_credentials(std::string_view text, endpoint& into) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
        return fail(errc::invalid_argument,
                    "a Redis URL names a user without a password: write user:password@ or "
                    ":password@");
    }
    auto user = percent_decode(text.substr(0, colon));
    auto password = percent_decode(text.substr(colon + 1));
    if (!user || !password) {
        return fail(errc::invalid_argument,
                    "the user or password of the Redis URL is not percent-encoded correctly");
    }
    into.user = std::move(*user);
    into.password = std::move(*password);
    return {};
}

result<> parse_host_and_port(std::string_view text, endpoint& into) {
    std::string_view host = text;
    std::string_view port;
    bool has_port = false;
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos) {
            return fail(errc::invalid_argument, "the Redis address lacks a ']'");
        }
        host = text.substr(1, close - 1);
        const auto rest = text.substr(close + 1);
        has_port = rest.starts_with(':');
        if (!has_port && !rest.empty()) {
            return fail(errc::invalid_argument, "after the ']' of a Redis address comes :port");
        }
        port = has_port ? rest.substr(1) : rest;
    } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
        has_port = true;
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
    }
    if (host.empty() || host.find_first_of(" /?#@") != std::string_view::npos) {
        return fail(errc::invalid_argument,
                    "the Redis address has no valid host: write host, host:port or "
                    "rediss://host:port");
    }
    into.host = host;
    if (has_port) {
        const auto number = parse_number<std::uint16_t>(port, 1, 65'535);
        if (!number) {
            // Not shown: without "redis://" before it, this is where a password ends up.
            return fail(errc::invalid_argument,
                        "the Redis port is not a number from 1 to 65535; with a user or password, "
                        "write redis://user:password@host:port");
        }
        into.port = *number;
    }
    return {};
}

}  // namespace

result<endpoint> parse_endpoint(std::string_view text) {
    endpoint parsed;
    if (take_prefix(text, "unix://")) {
        if (!text.starts_with('/')) {
            return fail(errc::invalid_argument, "a Redis socket is written unix:///path");
        }
        parsed.host = text;
        parsed.port = 0;
        return parsed;
    }
    parsed.tls = take_prefix(text, "rediss://");
    if (parsed.tls || take_prefix(text, "redis://")) {
        if (const auto at = text.rfind('@'); at != std::string_view::npos) {
            auto credentials = parse_credentials(text.substr(0, at), parsed);
            if (!credentials) {
                return propagate(credentials);
            }
            text.remove_prefix(at + 1);
        }
        if (const auto slash = text.find('/'); slash != std::string_view::npos) {
            const auto number = text.substr(slash + 1);
            const auto database = parse_number<std::uint32_t>(number, 0, database_max);
            if (!database && !number.empty()) {
                return fail(errc::invalid_argument,
                            concat("the Redis database is not a number: ", number));
            }
            parsed.database = database.value_or(0);
            text = text.substr(0, slash);
        }
    }
    auto place = parse_host_and_port(text, parsed);
    if (!place) {
        return propagate(place);
    }
    return parsed;
}

std::string to_text(const endpoint& where) {
    if (where.host.starts_with('/')) {
        return where.host;
    }
    const bool is_ipv6 = where.host.find(':') != std::string::npos;
    return is_ipv6 ? concat('[', where.host, "]:", where.port)
                   : concat(where.host, ':', where.port);
}

}  // namespace hearth::redis
