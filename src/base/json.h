#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "base/rapidjson.h"
#include "base/result.h"

// JSON. Three jobs:
//   writing            RapidJSON's writer, behind `writer`
//   reading documents  simdjson's DOM, behind `document`: small API and configuration bodies
//   passing payloads   our own scanner, behind `scan_object` and `validate`: the payload's text is
//                      checked in full and handed on unchanged; numbers are never converted, so
//                      that integers of any length survive, which neither library's parser allows.

namespace hearth::json {

inline constexpr std::size_t depth_max = 512;   // Python's own parser gives up near 1000
inline constexpr std::size_t members_max = 64;  // of an object that scan_object reads

class writer {
public:
    writer() : buffer_(&heap, text_bytes_usual), out_(buffer_, &heap) {}
    writer(const writer&) = delete;
    writer& operator=(const writer&) = delete;

    void begin_object() { out_.StartObject(); }
    void end_object() { out_.EndObject(); }
    void begin_array() { out_.StartArray(); }
    void end_array() { out_.EndArray(); }
    void key(std::string_view name) { string(name); }

    // Invalid UTF-8 is replaced by U+FFFD.
    void string(std::string_view text);
    void value(std::string_view text) { string(text); }
    void value(const char* text) { string(text); }
    void value(bool flag) { out_.Bool(flag); }
    void value(double number);
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    void value(T number) {
        if constexpr (std::is_signed_v<T>) {
            out_.Int64(number);
        } else {
            out_.Uint64(number);
        }
    }
    void null() { out_.Null(); }
    // `text` must be one valid JSON value; it is written as it stands.
    void raw(std::string_view text) {
        out_.RawValue(text.data(), text.size(), rapidjson::kObjectType);
    }

    template <class T>
    void member(std::string_view name, const T& content) {
        key(name);
        value(content);
    }
    void member_raw(std::string_view name, std::string_view text) {
        key(name);
        raw(text);
    }
    void begin_object(std::string_view name) {
        key(name);
        begin_object();
    }
    void begin_array(std::string_view name) {
        key(name);
        begin_array();
    }

    [[nodiscard]] std::string_view view() const { return {buffer_.GetString(), buffer_.GetSize()}; }
    [[nodiscard]] std::string take() && { return std::string(view()); }

private:
    // Of the answer to a small call, so that it is not moved while it grows.
    static constexpr std::size_t text_bytes_usual = 768;
    // RapidJSON's allocator has no state, and without one it would make itself one for each text.
    static inline rapidjson::CrtAllocator heap;

    rapidjson::StringBuffer buffer_;
    rapidjson::Writer<rapidjson::StringBuffer> out_;
};

// A parsed document that owns its memory. Values are valid while it lives.
class document {
public:
    [[nodiscard]] static result<document> parse(std::string_view text);
    [[nodiscard]] simdjson::dom::element root() const { return root_; }

private:
    document() : parser_(std::make_unique<simdjson::dom::parser>()) {}

    std::unique_ptr<simdjson::dom::parser> parser_;  // values point into it
    simdjson::dom::element root_;
};

// Reads an object's members; the first that is missing or of another type is remembered. The
// document outlives it.
class member_reader {
public:
    explicit member_reader(simdjson::dom::element from) noexcept : from_(from) {}

    std::string text(std::string_view name) { return std::string(take<std::string_view>(name)); }
    std::int64_t integer(std::string_view name) { return take<std::int64_t>(name); }
    double number(std::string_view name) { return take<double>(name); }
    bool flag(std::string_view name) { return take<bool>(name); }
    simdjson::dom::array array(std::string_view name) { return take<simdjson::dom::array>(name); }
    // `name` as it was given.
    [[nodiscard]] std::string_view missing() const noexcept { return missing_; }

private:
    template <class T>
    T take(std::string_view name) {
        T value{};
        if (from_[name].get(value) != simdjson::SUCCESS && missing_.empty()) {
            missing_ = name;
        }
        return value;
    }

    simdjson::dom::element from_;
    std::string_view missing_;
};

// Checks that `text` is one complete JSON value (RFC 8259: UTF-8, no NaN, depth at most depth_max).
[[nodiscard]] result<> validate(std::string_view text);

// Checks `text` as validate() does and that it is an object; calls `member` with each top-level
// name (unescaped) and its value's text. A name that appears twice is an error.
[[nodiscard]] result<> scan_object(
    std::string_view text,
    const std::function<void(std::string_view name, std::string_view raw)>& member);

// The text of a JSON string (`"…"` as in `raw`), unescaped.
[[nodiscard]] result<std::string> unescape_string(std::string_view raw);

[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

// `text` with each invalid sequence replaced by U+FFFD.
[[nodiscard]] std::string replace_invalid_utf8(std::string_view text);

}  // namespace hearth::json
