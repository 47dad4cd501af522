#pragma once

#include <array>
#include <cstdint>
#include <string_view>

// Character classes of HTTP (RFC 9110 §5.6.2 and §5.5, RFC 3986 §2 and §3) as one table, so that a
// check costs one look-up per byte.

namespace hearth::http {

namespace detail {

enum character_class : std::uint8_t {
    token_character = 1,      // tchar: methods and field names
    value_character = 2,      // field-vchar, SP, HTAB, obs-text
    path_character = 4,       // pchar and "/", without "%"
    query_character = 8,      // any visible ASCII but "#": real clients send []{}| unescaped
    host_character = 16,      // reg-name, without "%" and without literals in brackets
    boundary_character = 32,  // bchars of RFC 2046 §5.1.1
};

consteval std::array<std::uint8_t, 256> make_character_table() {
    std::array<std::uint8_t, 256> table{};
    const auto add = [&table](std::string_view characters, std::uint8_t classes) {
        for (const char c : characters) {
            table[static_cast<std::uint8_t>(c)] |= classes;
        }
    };
    add("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        token_character | path_character | host_character | boundary_character);
    add("!#$%&'*+-.^_`|~", token_character);
    add("-._~!$&'()*+,;=", path_character | host_character);
    add(":@/", path_character);
    add("'()+_,-./:=? ", boundary_character);
    for (int c = 0x20; c <= 0xff; ++c) {
        if (c != 0x7f) {
            table[static_cast<std::size_t>(c)] |= value_character;
        }
        if (c > 0x20 && c < 0x7f && c != '#') {
            table[static_cast<std::size_t>(c)] |= query_character;
        }
    }
    table['\t'] |= value_character;
    return table;
}

inline constexpr std::array<std::uint8_t, 256> character_table = make_character_table();

[[nodiscard]] inline bool all_of_class(std::string_view text, character_class wanted) noexcept {
    for (const char c : text) {
        if ((character_table[static_cast<std::uint8_t>(c)] & wanted) == 0) {
            return false;
        }
    }
    return true;
}

}  // namespace detail

// A non-empty token.
[[nodiscard]] inline bool is_token(std::string_view text) noexcept {
    return !text.empty() && detail::all_of_class(text, detail::token_character);
}
// Free of control characters, so that it can stand in a field line.
[[nodiscard]] inline bool is_field_value(std::string_view text) noexcept {
    return detail::all_of_class(text, detail::value_character);
}

// The value of a hexadecimal digit, or -1.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

[[nodiscard]] constexpr char to_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// ASCII only: field names, media types and connection options are.
[[nodiscard]] constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (to_lower(a[i]) != to_lower(b[i])) {
            return false;
        }
    }
    return true;
}

// Without the spaces and tabs around it (OWS, RFC 9110 §5.6.3).
[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
        text.remove_suffix(1);
    }
    return text;
}

}  // namespace hearth::http
