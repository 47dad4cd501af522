#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/method.h"
#include "http/rejection.h"

namespace hearth::http {

// A request target in its parts (RFC 9112 §3.2). Views point into the target, `path` into the
// decoding buffer where something was escaped.
struct target_parts {
    std::string_view path;
    std::string_view query;
    std::string_view authority;  // of the absolute form only
};

// Splits and checks `target`. Accepted: the origin form, the absolute form with http or https (as
// RFC 9112 §3.2.2 demands), and "*" with OPTIONS. The path is percent-decoded once into `decoded`.
// Refused with 400, because proxies and file systems read them differently: NUL and other control
// characters, "%2F" and "%5C", segments "." and "..", bytes that RFC 3986 does not allow in a path,
// fragments.
[[nodiscard]] rejection parse_target(std::string_view target, method of, std::string& decoded,
                                     target_parts& parts);

// host [":" port]: a registered name, an IPv4 address or an IPv6 address in brackets.
[[nodiscard]] bool is_valid_authority(std::string_view text) noexcept;

// Decodes "%XX" and, where `plus_is_space`, "+". False on a malformed escape or a control
// character.
[[nodiscard]] bool percent_decode(std::string_view text, bool plus_is_space, std::string& decoded);

// The first value of that name in a query of "a=b&c" form, decoded ("+" is a space). A malformed
// escape leaves the value as it was sent, for the caller to refuse.
[[nodiscard]] std::optional<std::string> query_value(std::string_view query, std::string_view name);

}  // namespace hearth::http
