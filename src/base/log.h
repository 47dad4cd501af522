#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <variant>

// Structured log: one JSON object per line on stderr with level, timestamp, msg and the fields
// given. A line is one write(2), so lines of several threads and processes do not mix. Any thread.

namespace hearth::log {

enum class level : std::uint8_t { debug, info, warning, error };

// A named value. Text is escaped and invalid UTF-8 replaced, so that hostile text cannot forge a
// line.
struct field {
    std::string_view name;
    std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool> value;

    field(std::string_view n, std::string_view text) : name(n), value(text) {}
    field(std::string_view n, const char* text) : name(n), value(std::string_view(text)) {}
    field(std::string_view n, bool flag) : name(n), value(flag) {}
    field(std::string_view n, double number) : name(n), value(number) {}
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    field(std::string_view n, T number)
        : name(n),
          value(static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(
              number)) {}
};

void set_level(level minimum) noexcept;
[[nodiscard]] bool enabled(level wanted) noexcept;

// Where lines go; 2 unless told otherwise. Not owned.
void set_descriptor(int fd) noexcept;

void write(level severity, std::string_view message, std::initializer_list<field> fields);

inline void debug(std::string_view message, std::initializer_list<field> fields = {}) {
    if (enabled(level::debug)) {
        write(level::debug, message, fields);
    }
}
inline void info(std::string_view message, std::initializer_list<field> fields = {}) {
    if (enabled(level::info)) {
        write(level::info, message, fields);
    }
}
inline void warning(std::string_view message, std::initializer_list<field> fields = {}) {
    if (enabled(level::warning)) {
        write(level::warning, message, fields);
    }
}
inline void error(std::string_view message, std::initializer_list<field> fields = {}) {
    if (enabled(level::error)) {
        write(level::error, message, fields);
    }
}

}  // namespace hearth::log
