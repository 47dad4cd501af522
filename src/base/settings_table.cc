#include <algorithm>
#include <array>

#include "base/concat.h"
#include "base/settings.h"

namespace hearth {
namespace {

constexpr std::size_t shown_bytes_max = 48;
constexpr std::size_t columns = 4;

// Bytes that begin a character: what a terminal shows, near enough to align columns.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// At most shown_bytes_max bytes, never half a character.
std::string shortened(std::string_view text) {
    if (text.size() <= shown_bytes_max) {
        return std::string(text);
    }
    std::size_t end = shown_bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
        --end;
    }
    return concat(text.substr(0, end), "…");
}

// A URL may carry a password before its host.
std::string without_password(std::string_view url) {
    const auto begin = url.find("://");
    if (begin == std::string_view::npos) {
        return std::string(url);
    }
    const auto host = begin + 3;
    const auto end = std::min(url.find_first_of("/?#", host), url.size());
    const auto at = url.substr(0, end).rfind('@');
    if (at == std::string_view::npos || at < host) {
        return std::string(url);
    }
    return concat(url.substr(0, host), "***", url.substr(at));
}

}  // namespace

std::string settings::shown(const value& entry) {
    if (entry.source.empty()) {
        return "-";
    }
    if (entry.declared->secret) {
        return "(secret)";
    }
    auto text =
        entry.declared->kind == setting_kind::url ? without_password(entry.text) : entry.text;
    std::ranges::replace(text, '\n', ' ');
    return shortened(text);
}

std::string settings::table() const {
    std::vector<std::array<std::string, columns>> rows{{"setting", "value", "from", "meaning"}};
    for (const auto& entry : values_) {
        rows.push_back({std::string(entry.declared->name), shown(entry),
                        entry.source.empty() ? "-" : entry.source,
                        std::string(entry.declared->help)});
    }
    std::array<std::size_t, columns> widths{};
    for (const auto& row : rows) {
        for (std::size_t column = 0; column < columns; ++column) {
            widths[column] = std::max(widths[column], width(row[column]));
        }
    }
    std::string out;
    for (const auto& row : rows) {
        for (std::size_t column = 0; column + 1 < columns; ++column) {
            out += row[column];
            out.append(widths[column] - width(row[column]) + 2, ' ');
        }
        out += concat(row.back(), '\n');
    }
    return out;
}

}  // namespace hearth
