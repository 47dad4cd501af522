#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth::http {

// The methods that are served. Any other token is answered 501 (RFC 9110 §9.1): CONNECT and TRACE
// because nothing here needs them, lower-case names because methods are case-sensitive.
enum class method : std::uint8_t { get, head, post, put, delete_, patch, options };

inline constexpr std::array<std::string_view, 7> method_names = {"GET",    "HEAD",  "POST",   "PUT",
                                                                 "DELETE", "PATCH", "OPTIONS"};

[[nodiscard]] inline std::string_view to_string(method which) noexcept {
    return method_names[static_cast<std::size_t>(which)];
}

[[nodiscard]] inline std::optional<method> method_from_token(std::string_view token) noexcept {
    for (std::size_t i = 0; i < method_names.size(); ++i) {
        if (method_names[i] == token) {
            return static_cast<method>(i);
        }
    }
    return std::nullopt;
}

}  // namespace hearth::http
