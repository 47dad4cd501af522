#include "http/parser.h"

#include <algorithm>
#include <cstring>

#include <llhttp.h>

#include "http/target.h"

namespace hearth::http {
namespace {

// 18 digits cannot overflow 64 bits, and no body comes near.
constexpr std::size_t content_length_digits_max = 18;

std::optional<std::uint64_t> parse_content_length(std::string_view text) {
    if (text.empty() || text.size() > content_length_digits_max) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') {
            return std::nullopt;
        }
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
}

constexpr std::size_t bytes_kept_max = 4096;

// What llhttp made of the same bytes.
struct second_reading {
    llhttp_t parser{};
    bool complete = false;
    std::uint64_t content_length = 0;
    bool chunked = false;
};

int on_headers_complete(llhttp_t* parser) {
    auto* reading = static_cast<second_reading*>(parser->data);
    reading->complete = true;
    reading->content_length = parser->content_length;
    reading->chunked = (parser->flags & F_CHUNKED) != 0;
    return HPE_PAUSED;
}

const llhttp_settings_t& second_reading_settings() {
    static const llhttp_settings_t settings = [] {
        llhttp_settings_t made{};
        made.on_headers_complete = on_headers_complete;
        return made;
    }();
    return settings;
}

}  // namespace

void head_parser::reset() noexcept {
    if (bytes_.capacity() > bytes_kept_max) {
        bytes_ =
            std::string();  // one large head must not cost memory for as long as a client stays
    }
    bytes_.clear();
    line_begin_ = 0;
    lines_.clear();
    has_request_line_ = false;
    skipped_empty_line_ = false;
    has_host_ = false;
    close_asked_ = false;
    keep_alive_asked_ = false;
    status_ = status::incomplete;
    error_ = {};
    head_.headers.clear();
    head_.content_length.reset();
    head_.chunked = false;
    head_.expects_continue = false;
    head_.host = {};
}

head_parser::status head_parser::reject(int code, std::string_view name, std::string_view message) {
    error_ = {code, name, message};
    return status_ = status::failed;
}

std::size_t head_parser::line_bytes_max() const noexcept {
    const std::size_t line =
        has_request_line_ ? limits_.header_line_bytes_max : limits_.request_line_bytes_max;
    return std::min(line, limits_.head_bytes_max - std::min(line_begin_, limits_.head_bytes_max));
}

head_parser::status head_parser::feed(std::span<const std::byte>& input) {
    while (status_ == status::incomplete && !input.empty()) {
        const void* newline = std::memchr(input.data(), '\n', input.size());
        const std::size_t offered = newline == nullptr
                                        ? input.size()
                                        : static_cast<const std::byte*>(newline) - input.data() + 1;
        const std::size_t room = line_bytes_max() - (bytes_.size() - line_begin_);
        const std::size_t taken = std::min(offered, room);
        bytes_.append(reinterpret_cast<const char*>(input.data()), taken);
        input = input.subspan(taken);
        if (taken < offered) {
            return has_request_line_
                       ? reject(431, "header_fields_too_large", "The request's head is too large.")
                       : reject(414, "uri_too_long", "The request line is too long.");
        }
        if (newline != nullptr) {
            take_line();
        }
    }
    return status_;
}

head_parser::status head_parser::take_line() {
    std::string_view line(bytes_);
    line.remove_prefix(line_begin_);
    line.remove_suffix(1);
    if (line.empty() || line.back() != '\r') {
        return bad("A line of the head ends with a bare LF.");
    }
    line.remove_suffix(1);
    if (line.empty()) {
        if (has_request_line_) {
            return finish();
        }
        if (skipped_empty_line_) {
            return bad("Empty lines precede the request line.");
        }
        skipped_empty_line_ = true;  // RFC 9112 §2.2: some clients end a body with one too many
        bytes_.clear();
        return status_;
    }
    const status taken = has_request_line_ ? take_header_line(line) : take_request_line(line);
    line_begin_ = bytes_.size();
    return taken;
}

head_parser::status head_parser::take_request_line(std::string_view line) {
    if (!is_field_value(line)) {
        return bad("The request line contains control characters.");
    }
    const std::size_t first = line.find(' ');
    const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos || line.find(' ', second + 1) != std::string_view::npos) {
        return bad("The request line is not \"METHOD target HTTP/1.1\".");
    }
    const std::string_view name = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, second - first - 1);
    const std::string_view version = line.substr(second + 1);
    if (!is_token(name) || target.empty()) {
        return bad("The request line is not \"METHOD target HTTP/1.1\".");
    }
    if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.' ||
        version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9') {
        return bad("The request line does not end with an HTTP version.");
    }
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        return reject(505, "http_version_not_supported", "Only HTTP/1.0 and HTTP/1.1 are served.");
    }
    const auto known = method_from_token(name);
    if (!known) {
        return reject(501, "not_implemented", "The request's method is not implemented.");
    }
    head_.method = *known;
    head_.minor_version = version.back() - '0';
    has_request_line_ = true;
    method_size_ = name.size();
    target_begin_ = method_size_ + 1;
    target_size_ = target.size();
    return status_;
}

head_parser::status head_parser::take_header_line(std::string_view line) {
    if (line.front() == ' ' || line.front() == '\t') {
        return bad("A header line begins with white space (obsolete line folding).");
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
        return bad("A header line has no well-formed name.");
    }
    const std::string_view value = trim(line.substr(colon + 1));
    if (!is_field_value(value)) {
        return bad("A header's value contains control characters.");
    }
    if (lines_.size() == limits_.headers_max) {
        return reject(431, "header_fields_too_large", "The request has too many headers.");
    }
    const std::size_t value_begin = static_cast<std::size_t>(value.data() - bytes_.data());
    lines_.push_back({line_begin_, line_begin_ + colon, value_begin, value_begin + value.size()});
    return status_;
}

head_parser::status head_parser::finish() {
    const std::string_view all(bytes_);
    head_.method_name = all.substr(0, method_size_);
    head_.target = all.substr(target_begin_, target_size_);
    for (const line_parts& line : lines_) {
        head_.headers.push_back({all.substr(line.name_begin, line.name_end - line.name_begin),
                                 all.substr(line.value_begin, line.value_end - line.value_begin)});
    }
    target_parts parts;
    error_ = parse_target(head_.target, head_.method, decoded_path_, parts);
    if (error_) {
        return status_ = status::failed;
    }
    head_.path = parts.path;
    head_.query = parts.query;
    if (check_headers() == status::failed) {
        return status_;
    }
    if (!parts.authority.empty() && has_host_ &&
        !equal_ignoring_case(parts.authority, head_.host)) {
        return bad("The Host header contradicts the request target.");
    }
    head_.keep_alive = !close_asked_ && (head_.minor_version >= 1 || keep_alive_asked_);
    return confirm_with_llhttp();
}

head_parser::status head_parser::check_headers() {
    for (const header_field& field : head_.headers) {
        status checked = status_;
        // The length decides almost always, so that most fields cost one comparison.
        switch (field.name.size()) {
            case 4:
                if (equal_ignoring_case(field.name, "host")) {
                    checked = check_host(field.value);
                }
                break;
            case 6:
                if (equal_ignoring_case(field.name, "expect")) {
                    checked = check_expectation(field.value);
                }
                break;
            case 10:
                if (equal_ignoring_case(field.name, "connection")) {
                    note_connection_options(field.value);
                }
                break;
            case 14:
            case 17:
                checked = check_framing(field.name, field.value);
                break;
            default:
                break;
        }
        if (checked == status::failed) {
            return checked;
        }
    }
    if (!has_host_ && head_.minor_version >= 1) {
        return bad("The Host header is missing.");
    }
    if (head_.chunked && head_.content_length) {
        return bad("Content-Length and Transfer-Encoding exclude each other.");
    }
    return status_;
}

head_parser::status head_parser::check_framing(std::string_view name, std::string_view value) {
    if (equal_ignoring_case(name, "content-length")) {
        if (head_.content_length) {
            return bad("Content-Length appears twice.");
        }
        head_.content_length = parse_content_length(value);
        return head_.content_length ? status_ : bad("Content-Length is not a number.");
    }
    if (equal_ignoring_case(name, "transfer-encoding")) {
        // A coding that is not understood may be answered 501 (RFC 9112 §6.1); one answer for all
        // is simpler, and whoever sends another coding unasked is not a client to reason with.
        if (head_.chunked || head_.minor_version == 0 || !equal_ignoring_case(value, "chunked")) {
            return bad("Transfer-Encoding is other than \"chunked\".");
        }
        head_.chunked = true;
    }
    return status_;
}

head_parser::status head_parser::check_host(std::string_view value) {
    if (has_host_) {
        return bad("The Host header appears twice.");
    }
    has_host_ = true;
    head_.host = value;
    return is_valid_authority(value) ? status_ : bad("The Host header is malformed.");
}

head_parser::status head_parser::check_expectation(std::string_view value) {
    if (head_.minor_version == 0) {
        return status_;  // RFC 9110 §10.1.1: ignored
    }
    if (!equal_ignoring_case(value, "100-continue")) {
        return reject(417, "expectation_failed", "Only the expectation \"100-continue\" is met.");
    }
    head_.expects_continue = true;
    return status_;
}

void head_parser::note_connection_options(std::string_view value) {
    while (!value.empty()) {
        const std::size_t comma = value.find(',');
        const std::string_view option = trim(value.substr(0, comma));
        close_asked_ |= equal_ignoring_case(option, "close");
        keep_alive_asked_ |= equal_ignoring_case(option, "keep-alive");
        value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
    }
}

head_parser::status head_parser::confirm_with_llhttp() {
    second_reading reading;
    llhttp_init(&reading.parser, HTTP_REQUEST, &second_reading_settings());
    reading.parser.data = &reading;
    const llhttp_errno_t end = llhttp_execute(&reading.parser, bytes_.data(), bytes_.size());
    const std::string_view llhttp_method =
        llhttp_method_name(static_cast<llhttp_method_t>(reading.parser.method));
    if (end != HPE_PAUSED || !reading.complete || llhttp_method != head_.method_name ||
        reading.parser.http_minor != head_.minor_version || reading.chunked != head_.chunked ||
        reading.content_length != head_.content_length.value_or(0)) {
        return bad("The request's head is ambiguous.");
    }
    return status_ = status::complete;
}

}  // namespace hearth::http
