#include "base/json.h"

#include <algorithm>
#include <cmath>

#include "base/concat.h"

namespace hearth::json {
namespace {

std::size_t sequence_length(std::string_view text) noexcept {
    for (std::size_t length = 1; length <= std::min<std::size_t>(4, text.size()); ++length) {
        if (is_valid_utf8(text.substr(0, length))) {
            return length;
        }
    }
    return 0;
}

}  // namespace

void writer::string(std::string_view text) {
    if (is_valid_utf8(text)) {
        out_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
    } else {
        const std::string clean = replace_invalid_utf8(text);
        out_.String(clean.data(), static_cast<rapidjson::SizeType>(clean.size()));
    }
}

void writer::value(double number) {
    if (std::isfinite(number)) {
        out_.Double(number);
    } else {
        out_.Null();  // JSON has no NaN
    }
}

result<document> document::parse(std::string_view text) {
    document parsed;
    const auto outcome = parsed.parser_->parse(text.data(), text.size());
    if (outcome.error() != simdjson::SUCCESS) {
        return fail(errc::invalid_argument,
                    concat("invalid JSON: ", simdjson::error_message(outcome.error())));
    }
    parsed.root_ = outcome.value_unsafe();
    return parsed;
}

result<std::string> unescape_string(std::string_view raw) {
    const auto parsed = document::parse(raw);
    if (!parsed) {
        return std::unexpected(parsed.error());
    }
    std::string_view text;
    if (parsed->root().get_string().get(text) != simdjson::SUCCESS) {
        return fail(errc::invalid_argument, "expected a JSON string");
    }
    return std::string(text);
}

bool is_valid_utf8(std::string_view text) noexcept {
    return simdjson::validate_utf8(text.data(), text.size());
}

std::string replace_invalid_utf8(std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = sequence_length(text);
        if (length == 0) {
            clean += "\xef\xbf\xbd";
            text.remove_prefix(1);
        } else {
            clean += text.substr(0, length);
            text.remove_prefix(length);
        }
    }
    return clean;
}

}  // namespace hearth::json
