#include "http/multipart.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/json.h"
#include "http/characters.h"
#include "http/media_type.h"

namespace hearth::http {
namespace {

constexpr std::size_t boundary_bytes_max = 70;

// Text of a name or file name: no control characters, so that it can go into logs and headers.
bool is_plain_text(std::string_view text) {
    return is_field_value(text) && json::is_valid_utf8(text);
}

// A file name without directories: clients must not send them (RFC 7578 §4.2), some do.
std::string base_name(std::string_view path) {
    const std::size_t separator = path.find_last_of("/\\");
    return std::string(separator == std::string_view::npos ? path : path.substr(separator + 1));
}

}  // namespace

result<std::string> boundary_of(std::string_view content_type) {
    if (!has_media_type(content_type, "multipart/form-data")) {
        return fail(errc::invalid_argument, "Content-Type must be multipart/form-data.");
    }
    std::string_view rest =
        content_type.substr(std::min(content_type.find(';'), content_type.size()));
    std::string_view name;
    std::string value;
    std::optional<std::string> boundary;
    bool malformed = false;
    while (take_parameter(rest, name, value, malformed)) {
        if (equal_ignoring_case(name, "boundary")) {
            malformed = malformed || boundary.has_value();
            boundary = value;
        }
        if (malformed) {
            break;
        }
    }
    if (malformed || !boundary || boundary->empty() || boundary->size() > boundary_bytes_max ||
        boundary->back() == ' ' || !detail::all_of_class(*boundary, detail::boundary_character)) {
        return fail(errc::invalid_argument,
                    "Content-Type must carry one boundary of 1 to 70 characters (RFC 2046).");
    }
    return std::move(*boundary);
}

multipart_parser::multipart_parser(std::string_view boundary, const multipart_limits& limits)
    : limits_(limits),
      delimiter_("\r\n--"),
      matched_(2) {  // the first delimiter may stand at the very beginning, without its CRLF
    delimiter_ += boundary;
}

std::unexpected<error> multipart_parser::broken(errc code, const char* message) {
    state_ = state::failed;
    return fail(code, message);
}

result<multipart_parser::event> multipart_parser::next(std::span<const std::byte>& input) {
    for (;;) {
        if (state_ == state::finished) {
            input = {};
            return event{event_kind::finished, {}};
        }
        if (state_ == state::failed) {
            return broken(errc::invalid_argument, "The form is malformed.");
        }
        if (input.empty()) {
            return event{};
        }
        if (state_ == state::preamble || state_ == state::data) {
            auto content = take_content(input);
            if (!content || content->kind != event_kind::need_input) {
                return content;
            }
            continue;
        }
        const char c = static_cast<char>(input.front());
        input = input.subspan(1);
        auto taken = state_ == state::headers ? take_header_byte(c) : take_after_delimiter(c);
        if (!taken) {
            return propagate(taken);
        }
        if (*taken) {
            return **taken;
        }
    }
}

// Content up to the delimiter. The delimiter begins with the only CR it has, so when a match breaks
// off, nothing before the breaking byte can begin another one.
result<multipart_parser::event> multipart_parser::take_content(std::span<const std::byte>& input) {
    if (matched_ == 0) {
        const auto* carriage_return =
            static_cast<const std::byte*>(std::memchr(input.data(), '\r', input.size()));
        const std::size_t plain = carriage_return == nullptr
                                      ? input.size()
                                      : static_cast<std::size_t>(carriage_return - input.data());
        if (plain > 0) {
            const auto data = input.first(plain);
            input = input.subspan(plain);
            return count_data(data);
        }
    }
    while (!input.empty() && matched_ < delimiter_.size()) {
        if (static_cast<char>(input.front()) != delimiter_[matched_]) {
            const std::size_t held = std::exchange(matched_, 0);
            return count_data(std::as_bytes(std::span(delimiter_)).first(held));
        }
        input = input.subspan(1);
        ++matched_;
    }
    if (matched_ < delimiter_.size()) {
        return event{};
    }
    matched_ = 0;
    state_ = state::after_delimiter;
    header_bytes_ = 0;
    if (std::exchange(in_part_, false)) {
        return event{event_kind::part_end, {}};
    }
    return event{};
}

result<multipart_parser::event> multipart_parser::count_data(std::span<const std::byte> data) {
    if (state_ == state::preamble) {
        preamble_bytes_ += data.size();
        if (preamble_bytes_ > limits_.preamble_bytes_max) {
            return broken(errc::invalid_argument, "The form does not begin with its boundary.");
        }
        return event{};
    }
    if (!part_.filename) {
        field_bytes_ += data.size();
        if (field_bytes_ > limits_.field_bytes_max) {
            return broken(errc::too_large, "A field of the form is too large.");
        }
    }
    return event{event_kind::data, data};
}

result<std::optional<multipart_parser::event>> multipart_parser::take_after_delimiter(char c) {
    if (state_ == state::closing_dash) {
        if (c != '-') {
            return broken(errc::invalid_argument, "A boundary of the form is malformed.");
        }
        state_ = state::finished;
        return std::optional(event{event_kind::finished, {}});
    }
    if (state_ == state::delimiter_lf) {
        if (c != '\n') {
            return broken(errc::invalid_argument, "A boundary of the form is malformed.");
        }
        if (++parts_ > limits_.parts_max) {
            return broken(errc::too_large, "The form has too many parts.");
        }
        state_ = state::headers;
        headers_ = 0;
        has_disposition_ = false;
        line_.clear();
        part_ = {};
        return std::optional<event>();
    }
    if (c == '-' && header_bytes_ == 0) {
        state_ = state::closing_dash;
    } else if (c == '\r') {
        state_ = state::delimiter_lf;
    } else if ((c != ' ' && c != '\t') || ++header_bytes_ > limits_.part_header_bytes_max) {
        // Only padding may follow a boundary (RFC 2046 §5.1.1).
        return broken(errc::invalid_argument, "A boundary of the form is malformed.");
    }
    return std::optional<event>();
}

result<std::optional<multipart_parser::event>> multipart_parser::take_header_byte(char c) {
    if (++header_bytes_ > limits_.part_header_bytes_max) {
        return broken(errc::too_large, "The headers of a part are too large.");
    }
    if (c != '\n') {
        line_ += c;
        return std::optional<event>();
    }
    if (line_.empty() || line_.back() != '\r') {
        return broken(errc::invalid_argument, "A part's header line ends with a bare LF.");
    }
    line_.pop_back();
    if (!line_.empty()) {
        auto taken = take_header_line(line_);
        line_.clear();
        if (!taken) {
            return propagate(taken);
        }
        return std::optional<event>();
    }
    if (!has_disposition_) {
        return broken(errc::invalid_argument, "A part has no Content-Disposition.");
    }
    state_ = state::data;
    matched_ = 0;
    in_part_ = true;
    field_bytes_ = 0;
    return std::optional(event{event_kind::part_begin, {}});
}

result<> multipart_parser::take_header_line(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
        return broken(errc::invalid_argument, "A part's header line is malformed.");
    }
    if (++headers_ > limits_.part_headers_max) {
        return broken(errc::too_large, "A part has too many headers.");
    }
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1));
    if (!is_field_value(value)) {
        return broken(errc::invalid_argument, "A part's header contains control characters.");
    }
    if (equal_ignoring_case(name, "content-disposition")) {
        return take_disposition(value);
    }
    if (equal_ignoring_case(name, "content-type")) {
        part_.content_type = value;
    }
    if (equal_ignoring_case(name, "content-transfer-encoding") &&
        !equal_ignoring_case(value, "binary") && !equal_ignoring_case(value, "8bit") &&
        !equal_ignoring_case(value, "7bit")) {
        return broken(errc::invalid_argument, "A part's Content-Transfer-Encoding is not served.");
    }
    return {};
}

result<> multipart_parser::take_disposition(std::string_view value) {
    const std::string_view type = trim(value.substr(0, value.find(';')));
    if (has_disposition_ || !equal_ignoring_case(type, "form-data")) {
        return broken(errc::invalid_argument, "A part needs one Content-Disposition: form-data.");
    }
    has_disposition_ = true;
    std::string_view rest = value.substr(std::min(value.find(';'), value.size()));
    std::string_view name;
    std::string text;
    bool malformed = false;
    bool has_name = false;
    while (!malformed && take_parameter(rest, name, text, malformed)) {
        if (equal_ignoring_case(name, "name")) {
            malformed = has_name || !is_plain_text(text);
            has_name = true;
            part_.name = text;
        } else if (equal_ignoring_case(name, "filename")) {
            malformed = part_.filename.has_value() || !is_plain_text(text);
            part_.filename = base_name(text);
        }
    }
    if (malformed || !has_name) {
        return broken(errc::invalid_argument, "A part's Content-Disposition is malformed.");
    }
    return {};
}

}  // namespace hearth::http
