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

// A string that stands for itself: nothing is escaped, and nothing needs to be.
bool is_plain_string(std::string_view raw) noexcept {
    if (raw.size() < 2 || raw.front() != '"' || raw.back() != '"') {
        return false;
    }
    const std::string_view inside = raw.substr(1, raw.size() - 2);
    return std::ranges::none_of(inside,
                                [](char c) {
                                    return c == '"' || c == '\\' ||
                                           static_cast<unsigned char>(c) < ' ';
                                }) &&
           is_valid_utf8(inside);
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
    // A parser of its own costs five allocations, and ids are plain.
    if (is_plain_string(raw)) {
        return std::string(raw.substr(1, raw.size() - 2));
    }
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
