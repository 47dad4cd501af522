#include "http/target.h"

#include "http/characters.h"

namespace hearth::http {
namespace {

constexpr std::size_t authority_bytes_max = 261;  // 255 of a DNS name, ":" and a port

rejection bad_target(std::string_view message) {
    return {400, "bad_request", message};
}

bool has_dot_segment(std::string_view path) {
    while (!path.empty()) {
        path.remove_prefix(1);  // the "/"
        const std::string_view segment = path.substr(0, path.find('/'));
        if (segment == "." || segment == "..") {
            return true;
        }
        path.remove_prefix(segment.size());
    }
    return false;
}

// RFC 3986 allows nothing else in a path. An escape is checked when it is decoded.
bool is_path_text(std::string_view path) {
    for (const char c : path) {
        if (c != '%' &&
            (detail::character_table[static_cast<std::uint8_t>(c)] & detail::path_character) == 0) {
            return false;
        }
    }
    return true;
}

// An escaped separator makes one segment for this server and two for the next.
bool has_escaped_separator(std::string_view path) {
    for (std::size_t at = path.find('%'); at != std::string_view::npos;
         at = path.find('%', at + 1)) {
        const std::string_view digits = path.substr(at + 1, 2);
        if (equal_ignoring_case(digits, "2f") || equal_ignoring_case(digits, "5c")) {
            return true;
        }
    }
    return false;
}

rejection parse_path(std::string_view path, std::string& decoded, std::string_view& result) {
    if (!is_path_text(path)) {
        return bad_target("The path contains characters that must be percent-encoded.");
    }
    result = path;
    if (path.find('%') != std::string_view::npos) {
        if (has_escaped_separator(path)) {
            return bad_target("The path contains an encoded slash or backslash.");
        }
        if (!percent_decode(path, false, decoded)) {
            return bad_target("The path contains a malformed percent-encoding.");
        }
        result = decoded;
    }
    if (has_dot_segment(result)) {
        return bad_target("The path contains a dot segment.");
    }
    return {};
}

// Cuts "http://authority" off `rest`; false when it is not the absolute form.
bool take_authority(std::string_view& rest, std::string_view& authority) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (equal_ignoring_case(rest.substr(0, scheme.size()), scheme)) {
            rest.remove_prefix(scheme.size());
            authority = rest.substr(0, rest.find_first_of("/?"));
            rest.remove_prefix(authority.size());
            return is_valid_authority(authority);
        }
    }
    return false;
}

bool is_port(std::string_view text) {
    unsigned value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9' || text.size() > 5) {
            return false;
        }
        value = value * 10 + static_cast<unsigned>(c - '0');
    }
    return value <= 65'535;
}

bool is_ipv6_literal(std::string_view text) {
    bool has_colon = false;
    for (const char c : text) {
        if (hex_value(c) < 0 && c != ':' && c != '.') {
            return false;
        }
        has_colon |= c == ':';
    }
    return has_colon && text.size() <= 45;
}

}  // namespace

rejection parse_target(std::string_view target, method of, std::string& decoded,
                       target_parts& parts) {
    if (target == "*") {
        if (of != method::options) {
            return bad_target("The target \"*\" is for OPTIONS only.");
        }
        parts.path = target;
        return {};
    }
    std::string_view rest = target;
    if (rest.empty() || rest.front() != '/') {
        if (!take_authority(rest, parts.authority)) {
            return bad_target("The request target is neither a path nor an http URL.");
        }
    }
    const std::size_t question_mark = rest.find('?');
    if (question_mark != std::string_view::npos) {
        parts.query = rest.substr(question_mark + 1);
        rest = rest.substr(0, question_mark);
        if (!detail::all_of_class(parts.query, detail::query_character)) {
            return bad_target("The query contains characters that must be percent-encoded.");
        }
    }
    if (rest.empty()) {
        rest = "/";
    }
    return parse_path(rest, decoded, parts.path);
}

bool is_valid_authority(std::string_view text) noexcept {
    if (text.empty() || text.size() > authority_bytes_max) {
        return false;
    }
    if (text.front() == '[') {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || !is_ipv6_literal(text.substr(1, end - 1))) {
            return false;
        }
        const std::string_view after = text.substr(end + 1);
        return after.empty() || (after.front() == ':' && is_port(after.substr(1)));
    }
    const std::string_view name = text.substr(0, text.find(':'));
    if (name.empty() || !detail::all_of_class(name, detail::host_character)) {
        return false;
    }
    return name.size() == text.size() || is_port(text.substr(name.size() + 1));
}

bool percent_decode(std::string_view text, bool plus_is_space, std::string& decoded) {
    decoded.clear();
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int high = i + 1 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            return false;
        }
        decoded += c;
    }
    return true;
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
    std::string_view rest = query;
    std::string decoded;
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(pair.size() < rest.size() ? pair.size() + 1 : pair.size());
        const std::size_t equals = pair.find('=');
        const std::string_view key = pair.substr(0, equals);
        if (!percent_decode(key, true, decoded) || decoded != name) {
            continue;
        }
        const std::string_view value =
            equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
        if (!percent_decode(value, true, decoded)) {
            return std::string(value);
        }
        return decoded;
    }
    return std::nullopt;
}

}  // namespace hearth::http
