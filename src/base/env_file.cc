#include "base/env_file.h"

#include <algorithm>
#include <optional>

#include "base/concat.h"
#include "base/json.h"
#include "base/result.h"

namespace hearth {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::string_view blanks = " \t";
// To a shell each of these means something outside of quotes.
constexpr std::string_view special_unquoted = "'\"`$\\&|;<>()";
// Inside of double quotes these do.
constexpr std::string_view special_quoted = "\"`$\\";

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string_view without_leading_blanks(std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

// What stands behind a value: nothing, or a comment.
result<> check_rest(std::string_view rest) {
    const auto text = without_leading_blanks(rest);
    if (text.empty() || (text.front() == '#' && text.size() < rest.size())) {
        return {};
    }
    return fail(errc::invalid_argument,
                "something follows the value; put the whole value in quotes, or ' #' before a "
                "comment");
}

std::unexpected<error> unclosed(char quote) {
    return fail(errc::invalid_argument,
                concat("the quote ", quote, " is not closed on its line; for a value of several ",
                       "lines use a file and NAME_FILE"));
}

result<std::string> single_quoted(std::string_view text) {
    const auto end = text.find('\'', 1);
    if (end == std::string_view::npos) {
        return unclosed('\'');
    }
    if (auto rest = check_rest(text.substr(end + 1)); !rest) {
        return propagate(rest);
    }
    return std::string(text.substr(1, end - 1));
}

result<std::string> double_quoted(std::string_view text) {
    std::string value;
    for (std::size_t at = 1; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '"') {
            if (auto rest = check_rest(text.substr(at + 1)); !rest) {
                return propagate(rest);
            }
            return value;
        }
        if (c == '$' || c == '`') {
            return fail(errc::invalid_argument,
                        concat("nothing is expanded here; write \\", c, " or use single quotes"));
        }
        if (c == '\\') {
            ++at;
            if (at == text.size() || !special_quoted.contains(text[at])) {
                return fail(errc::invalid_argument,
                            "a backslash in double quotes stands before \" \\ $ or ` alone; "
                            "single quotes take it as it is");
            }
        }
        value += text[at];
    }
    return unclosed('"');
}

result<std::string> unquoted(std::string_view text) {
    const auto end = std::min(text.find_first_of(blanks), text.size());
    const auto value = text.substr(0, end);
    const bool home = value.starts_with('~') || value.contains(":~");
    if (home || value.find_first_of(special_unquoted) != std::string_view::npos) {
        return fail(errc::invalid_argument,
                    "the value has a character that a shell gives a meaning; put it in single "
                    "quotes");
    }
    if (auto rest = check_rest(text.substr(end)); !rest) {
        return propagate(rest);
    }
    return std::string(value);
}

result<std::string> parse_value(std::string_view text) {
    if (text.starts_with('\'')) {
        return single_quoted(text);
    }
    if (text.starts_with('"')) {
        return double_quoted(text);
    }
    return unquoted(text);
}

// nullopt for a line without a setting.
result<std::optional<env_entry>> parse_line(std::string_view line) {
    if (!json::is_valid_utf8(line)) {
        return fail(errc::invalid_argument, "is not UTF-8");
    }
    auto text = without_leading_blanks(line);
    if (text.empty() || text.front() == '#') {
        return std::nullopt;
    }
    if (std::ranges::any_of(text, [](char c) {
            return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
        })) {
        return fail(errc::invalid_argument, "has a control character; remove it");
    }
    constexpr std::string_view keyword = "export";
    if (text.starts_with(keyword) && text.size() > keyword.size() &&
        blanks.contains(text[keyword.size()])) {
        text = without_leading_blanks(text.substr(keyword.size()));
    }
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) {
        return fail(errc::invalid_argument, "is not NAME=value");
    }
    const auto name = text.substr(0, equals);
    const auto rest = text.substr(equals + 1);
    if (name.ends_with(' ') || name.ends_with('\t') ||
        (!rest.empty() && blanks.contains(rest.front()) && !without_leading_blanks(rest).empty() &&
         !without_leading_blanks(rest).starts_with('#'))) {
        return fail(errc::invalid_argument, "has a blank beside '='; write NAME=value");
    }
    if (!is_variable_name(name)) {
        return fail(errc::invalid_argument,
                    "does not begin with a name of letters, digits and '_'");
    }
    auto value = parse_value(rest);
    if (!value) {
        return fail(value.error().code, concat(name, ": ", value.error().message));
    }
    return env_entry{std::string(name), std::move(*value), 0};
}

void add_line(env_file& file, std::string_view line, std::size_t number) {
    auto entry = parse_line(line);
    if (!entry) {
        file.problems.push_back(concat("line ", number, ": ", entry.error().message));
        return;
    }
    if (!entry->has_value()) {
        return;
    }
    env_entry& found = **entry;
    if (const auto* first = file.find(found.name); first != nullptr) {
        file.problems.push_back(concat("line ", number, ": ", found.name, " is set in line ",
                                       first->line, " already; remove one of them"));
        return;
    }
    found.line = number;
    file.entries.push_back(std::move(found));
}

}  // namespace

bool is_variable_name(std::string_view text) noexcept {
    return !text.empty() && is_letter(text.front()) &&
           std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c); });
}

const env_entry* env_file::find(std::string_view name) const noexcept {
    const auto found = std::ranges::find(entries, name, &env_entry::name);
    return found == entries.end() ? nullptr : &*found;
}

env_file parse_env_file(std::string_view text) {
    env_file file;
    if (text.size() > env_file_bytes_max) {
        file.problems.push_back(
            concat("has ", text.size(), " bytes; at most ", env_file_bytes_max));
        return file;
    }
    if (text.starts_with(byte_order_mark)) {
        text.remove_prefix(byte_order_mark.size());
    }
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        add_line(file, line, number);
        if (file.problems.size() == env_file_problems_max) {
            file.problems.push_back(concat("not read beyond line ", number, ": too many problems"));
            return file;
        }
    }
    return file;
}

}  // namespace hearth
