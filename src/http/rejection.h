#pragma once

#include <string_view>

namespace hearth::http {

// Why the server refuses a request before, or instead of, asking a handler: the response's status
// and the `code` and `message` of its body. All text is static. The connection closes after it.
struct rejection {
    int status = 0;
    std::string_view code;
    std::string_view message;

    [[nodiscard]] explicit operator bool() const noexcept { return status != 0; }
};

}  // namespace hearth::http
