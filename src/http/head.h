#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "http/characters.h"
#include "http/method.h"

namespace hearth::http {

struct header_field {
    std::string_view name;   // as sent
    std::string_view value;  // without the white space around it
};

// The head of one request after every check of head_parser. All views point into the parser and are
// valid until its reset().
struct request_head {
    http::method method = http::method::get;
    std::string_view method_name;  // as sent
    std::string_view target;       // as sent
    std::string_view path;         // percent-decoded; begins with "/" or is "*"
    std::string_view query;        // after "?", still encoded
    std::string_view host;
    int minor_version = 1;  // HTTP/1.<minor_version>: 0 or 1
    bool keep_alive = true;
    bool chunked = false;
    bool expects_continue = false;
    std::optional<std::uint64_t> content_length;
    std::vector<header_field> headers;

    // The first field of that name, case-insensitively.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept {
        for (const header_field& field : headers) {
            if (equal_ignoring_case(field.name, name)) {
                return field.value;
            }
        }
        return std::nullopt;
    }
};

}  // namespace hearth::http
