#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <vector>

#include <emmintrin.h>

#include "base/concat.h"
#include "base/json.h"

// The check that payloads pass on their way through: one pass over text whose UTF-8 simdjson has
// verified, no conversion, no recursion, strings 16 bytes at a time.

namespace hearth::json {
namespace {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

class scanner {
public:
    using member_function = std::function<void(std::string_view, std::string_view)>;

    scanner(std::string_view text, const member_function* member)
        : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), member_(member) {}

    result<> run() {
        if (!is_valid_utf8({begin_, end_})) {
            return fail(errc::invalid_argument, "invalid JSON: not UTF-8");
        }
        bool whole = false;
        while (problem_ == nullptr && !whole) {
            skip_space();
            take_value();
            whole = problem_ == nullptr && after_value();
        }
        if (problem_ == nullptr && at_ != end_) {
            problem_ = "text behind the value";
        }
        if (problem_ != nullptr) {
            return fail(errc::invalid_argument,
                        concat("invalid JSON at byte ", at_ - begin_, ": ", problem_));
        }
        return {};
    }

private:
    void reject(const char* problem) {
        if (problem_ == nullptr) {
            problem_ = problem;
        }
    }
    [[nodiscard]] bool at(char wanted) const { return at_ != end_ && *at_ == wanted; }
    bool take(char wanted) {
        if (!at(wanted)) {
            return false;
        }
        ++at_;
        return true;
    }
    void skip_space() {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) {
            ++at_;
        }
    }

    // A scalar, or the opening of an object or array up to its first value.
    void take_value() {
        for (;;) {
            if (at_ == end_) {
                return reject("a value is missing");
            }
            if (depth_ == 1 && in_member_) {
                value_start_ = value_start_ == nullptr ? at_ : value_start_;
            }
            switch (*at_) {
                case '{':
                    if (!open(true)) {
                        return;
                    }
                    skip_space();
                    if (take('}')) {
                        return close();
                    }
                    take_key();
                    break;
                case '[':
                    if (!open(false)) {
                        return;
                    }
                    skip_space();
                    if (take(']')) {
                        return close();
                    }
                    break;
                case '"':
                    ++at_;
                    return take_string();
                case 't':
                    return take_word("true");
                case 'f':
                    return take_word("false");
                case 'n':
                    return take_word("null");
                default:
                    return take_number();
            }
            if (problem_ != nullptr) {
                return;
            }
        }
    }

    // Behind a value: closes what ends here. True when the whole text has been read.
    bool after_value() {
        for (;;) {
            if (depth_ == 1 && in_member_) {
                (*member_)(names_.back(), {value_start_, at_});
                in_member_ = false;
            }
            skip_space();
            if (depth_ == 0) {
                return true;
            }
            const bool object = objects_[depth_ - 1];
            if (take(',')) {
                skip_space();
                if (object) {
                    take_key();
                }
                return false;
            }
            if (!take(object ? '}' : ']')) {
                reject(object ? "expected ',' or '}'" : "expected ',' or ']'");
                return false;
            }
            close();
        }
    }

    bool open(bool object) {
        if (depth_ == depth_max) {
            reject("nested too deeply");
            return false;
        }
        objects_[depth_++] = object;
        ++at_;
        return true;
    }
    void close() { --depth_; }

    void take_key() {
        const char* start = at_;
        if (!take('"')) {
            return reject("expected a member's name");
        }
        take_string();
        if (problem_ == nullptr && depth_ == 1 && member_ != nullptr) {
            note_name({start, at_});
        }
        skip_space();
        if (!take(':')) {
            return reject("expected ':'");
        }
        skip_space();
    }

    void note_name(std::string_view raw) {
        std::string name(raw.substr(1, raw.size() - 2));
        if (name.contains('\\')) {
            auto plain = unescape_string(raw);
            if (!plain) {
                return reject("unreadable member name");
            }
            name = std::move(*plain);
        }
        if (std::ranges::find(names_, name) != names_.end()) {
            return reject("a member name stands twice");
        }
        if (names_.size() == members_max) {
            return reject("too many members");
        }
        names_.push_back(std::move(name));
        in_member_ = true;
        value_start_ = nullptr;
    }

    // To the next byte of a string that is not plain: a quote, a backslash or a control character.
    void skip_plain() {
        const __m128i quote = _mm_set1_epi8('"');
        const __m128i backslash = _mm_set1_epi8('\\');
        const __m128i control_max = _mm_set1_epi8(0x1f);
        while (end_ - at_ >= 16) {
            const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at_));
            const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, control_max), block);
            const __m128i special = _mm_or_si128(
                control,
                _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
            const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special));
            if (mask != 0) {
                at_ += std::countr_zero(mask);
                return;
            }
            at_ += 16;
        }
        while (at_ != end_ && *at_ != '"' && *at_ != '\\' &&
               static_cast<unsigned char>(*at_) >= 0x20) {
            ++at_;
        }
    }

    void take_string() {
        while (problem_ == nullptr) {
            skip_plain();
            if (take('"')) {
                return;
            }
            if (!take('\\')) {
                return reject(at_ == end_ ? "a string has no end"
                                          : "control character in a string");
            }
            take_escape();
        }
    }

    void take_escape() {
        const char kind = at_ == end_ ? '\0' : *at_++;
        if (kind != 'u') {
            if (!std::string_view("\"\\/bfnrt").contains(kind) || kind == '\0') {
                reject("unknown escape");
            }
            return;
        }
        const unsigned unit = take_hex();
        if (unit >= 0xdc00 && unit <= 0xdfff) {
            return reject("lone surrogate");
        }
        if (unit >= 0xd800 && unit <= 0xdbff) {
            const bool paired = take('\\') && take('u');
            const unsigned low = paired ? take_hex() : 0;
            if (low < 0xdc00 || low > 0xdfff) {
                reject("lone surrogate");
            }
        }
    }

    unsigned take_hex() {
        unsigned value = 0;
        for (int i = 0; i < 4; ++i) {
            const char c = at_ == end_ ? '\0' : *at_++;
            const char lower = static_cast<char>(c | 0x20);
            if (is_digit(c)) {
                value = value * 16 + static_cast<unsigned>(c - '0');
            } else if (lower >= 'a' && lower <= 'f') {
                value = value * 16 + static_cast<unsigned>(lower - 'a' + 10);
            } else {
                reject("expected four hexadecimal digits");
                return 0;
            }
        }
        return value;
    }

    void take_word(std::string_view word) {
        if (!std::string_view(at_, end_).starts_with(word)) {
            return reject("unknown word");
        }
        at_ += word.size();
    }

    void take_number() {
        take('-');
        if (!take('0') && !take_digits()) {
            return reject("expected a value");
        }
        if (take('.') && !take_digits()) {
            return reject("expected a digit");
        }
        if (take('e') || take('E')) {
            if (!take('+')) {
                take('-');
            }
            if (!take_digits()) {
                return reject("expected a digit");
            }
        }
    }

    bool take_digits() {
        const char* start = at_;
        while (at_ != end_ && is_digit(*at_)) {
            ++at_;
        }
        return at_ != start;
    }

    const char* begin_;
    const char* at_;
    const char* end_;
    const member_function* member_;
    const char* problem_ = nullptr;
    std::size_t depth_ = 0;
    std::bitset<depth_max> objects_;  // of the open brackets: which are objects
    std::vector<std::string> names_;  // of the top-level members
    const char* value_start_ = nullptr;
    bool in_member_ = false;
};

}  // namespace

result<> validate(std::string_view text) {
    return scanner(text, nullptr).run();
}

result<> scan_object(std::string_view text,
                     const std::function<void(std::string_view, std::string_view)>& member) {
    const std::size_t start = text.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos || text[start] != '{') {
        return fail(errc::invalid_argument, "expected a JSON object");
    }
    return scanner(text, &member).run();
}

}  // namespace hearth::json
