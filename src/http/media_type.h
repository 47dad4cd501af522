#pragma once

#include <string>
#include <string_view>

namespace hearth::http {

// True when a Content-Type value names the media type `wanted` ("application/json"), whatever its
// parameters.
[[nodiscard]] bool has_media_type(std::string_view content_type, std::string_view wanted) noexcept;

// Takes one "; name=value" off the front of `rest`; the value is a token or a quoted string and
// comes without its quotes. `malformed` tells the end from an error when it returns false.
[[nodiscard]] bool take_parameter(std::string_view& rest, std::string_view& name,
                                  std::string& value, bool& malformed);

}  // namespace hearth::http
