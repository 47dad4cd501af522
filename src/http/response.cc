#include "http/response.h"

#include <utility>

#include "base/check.h"
#include "http/characters.h"

namespace hearth::http {

std::string_view reason_phrase(int status) noexcept {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 304:
            return "Not Modified";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 411:
            return "Length Required";
        case 413:
            return "Content Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Unknown";
    }
}

response response::json(int status, std::string body) {
    response made(status);
    made.set_content_type("application/json");
    made.append(std::move(body));
    return made;
}

response response::text(int status, std::string body) {
    response made(status);
    made.set_content_type("text/plain; charset=utf-8");
    made.append(std::move(body));
    return made;
}

response& response::add_header(std::string_view name, std::string_view value) {
    HEARTH_CHECK(is_token(name), "a response header's name must be a token");
    header_lines_ += name;
    header_lines_ += ": ";
    for (const char c : value) {
        header_lines_ += is_field_value({&c, 1}) ? c : ' ';
    }
    header_lines_ += "\r\n";
    return *this;
}

response& response::append(std::string part) {
    if (part_count_ < parts_max) {
        parts_[part_count_++] = std::move(part);
    } else {
        parts_.back() += part;
    }
    return *this;
}

std::uint64_t response::body_size() const noexcept {
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < part_count_; ++i) {
        size += parts_[i].size();
    }
    return size;
}

}  // namespace hearth::http
