#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "base/concat.h"

namespace hearth::json {
namespace {

constexpr unsigned scan_flags = rapidjson::kParseValidateEncodingFlag |
                                rapidjson::kParseNumbersAsStringsFlag |
                                rapidjson::kParseIterativeFlag;

// Follows a document's nesting and reports the top-level members of an object.
class scan_handler {
public:
    using member_function = std::function<void(std::string_view, std::string_view)>;

    scan_handler(std::string_view text, const rapidjson::MemoryStream& input,
                 const member_function* member)
        : text_(text), input_(input), member_(member) {}

    bool Null() { return scalar(); }
    bool Bool(bool) { return scalar(); }
    bool Int(int) { return scalar(); }
    bool Uint(unsigned) { return scalar(); }
    bool Int64(std::int64_t) { return scalar(); }
    bool Uint64(std::uint64_t) { return scalar(); }
    bool Double(double) { return scalar(); }
    bool RawNumber(const char*, rapidjson::SizeType, bool) { return scalar(); }
    bool String(const char*, rapidjson::SizeType, bool) { return scalar(); }
    bool Key(const char* name, rapidjson::SizeType size, bool) {
        if (depth_ == 1 && member_ != nullptr) {
            duplicate = std::ranges::find(names_, std::string_view(name, size)) != names_.end();
            too_many = names_.size() == members_max;
            if (duplicate || too_many) {
                return false;
            }
            names_.emplace_back(name, size);
            in_member_ = true;
            value_start_ = input_.Tell();
        }
        return true;
    }
    bool StartObject() { return open(); }
    bool StartArray() { return open(); }
    bool EndObject(rapidjson::SizeType) { return close(); }
    bool EndArray(rapidjson::SizeType) { return close(); }

    bool duplicate = false;
    bool too_deep = false;
    bool too_many = false;

private:
    bool open() {
        ++depth_;
        too_deep = depth_ > depth_max;
        return !too_deep;
    }
    bool close() {
        --depth_;
        return ended(input_.Tell() + 1);  // the iterative reader takes the bracket afterwards
    }
    bool scalar() { return ended(input_.Tell()); }
    bool ended(std::size_t end) {
        if (depth_ == 1 && in_member_) {
            // From behind the key to here stand the colon, white space and the value.
            std::string_view raw = text_.substr(value_start_, end - value_start_);
            raw.remove_prefix(raw.find(':') + 1);
            raw.remove_prefix(std::min(raw.find_first_not_of(" \t\r\n"), raw.size()));
            (*member_)(names_.back(), raw);
            in_member_ = false;
        }
        return true;
    }

    std::string_view text_;
    const rapidjson::MemoryStream& input_;
    const member_function* member_;
    std::size_t depth_ = 0;
    std::size_t value_start_ = 0;
    bool in_member_ = false;
    std::vector<std::string> names_;
};

result<> scan(std::string_view text, const scan_handler::member_function* member) {
    rapidjson::MemoryStream input(text.data(), text.size());
    scan_handler handler(text, input, member);
    rapidjson::Reader reader;
    const auto outcome = reader.Parse<scan_flags>(input, handler);
    if (handler.too_deep) {
        return fail(errc::invalid_argument, concat("JSON is nested deeper than ", depth_max));
    }
    if (handler.too_many) {
        return fail(errc::invalid_argument,
                    concat("JSON object has more than ", members_max, " members"));
    }
    if (handler.duplicate) {
        return fail(errc::invalid_argument, "JSON has a member name twice");
    }
    if (outcome.IsError()) {
        return fail(errc::invalid_argument, concat("invalid JSON at byte ", outcome.Offset(), ": ",
                                                   rapidjson::GetParseError_En(outcome.Code())));
    }
    return {};
}

std::size_t sequence_length(std::string_view text) noexcept {
    for (std::size_t length = 1; length <= std::min<std::size_t>(4, text.size()); ++length) {
        if (simdjson::validate_utf8(text.data(), length)) {
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

result<> validate(std::string_view text) {
    return scan(text, nullptr);
}

result<> scan_object(std::string_view text,
                     const std::function<void(std::string_view, std::string_view)>& member) {
    const std::size_t start = text.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos || text[start] != '{') {
        return fail(errc::invalid_argument, "expected a JSON object");
    }
    return scan(text, &member);
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
