#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

// The small formats that AWS's answers are made of. Pure functions; any thread.

namespace hearth::aws {

// "2026-01-31T23:59:59Z", with or without a fraction: what credentials expire at. Nothing for
// anything else.
[[nodiscard]] std::optional<epoch_ms> parse_rfc3339(std::string_view text);

// "Sat, 31 Jan 2026 23:59:59 GMT": the Date header.
[[nodiscard]] std::optional<epoch_ms> parse_http_date(std::string_view text);

[[nodiscard]] std::string base64_encode(std::string_view bytes);
// Nothing for what is not base64 with its padding.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

// SHA-256 in 32 bytes, not as text.
[[nodiscard]] std::string sha256_raw(std::string_view bytes);

// XML as AWS's services write it: elements and text, no CDATA, no element inside one of its own
// name. The inside of each element of that name, at any depth, in order.
[[nodiscard]] std::vector<std::string_view> xml_elements(std::string_view xml,
                                                         std::string_view name);
// The text of the first one, with entities decoded; nothing when there is none.
[[nodiscard]] std::optional<std::string> xml_text(std::string_view xml, std::string_view name);
// For element content.
[[nodiscard]] std::string xml_escape(std::string_view text);

}  // namespace hearth::aws
