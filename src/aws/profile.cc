#include "aws/profile.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"

namespace hearth::aws {
namespace {

constexpr std::size_t small_file_bytes_max = 64u << 10;
constexpr std::size_t profile_file_bytes_max = 1u << 20;

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        return fail_errno(path);
    }
    std::string text(bytes_max + 1, '\0');
    std::size_t size = 0;
    for (;;) {
        const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(path);
        }
        if (count == 0) {
            break;
        }
        size += static_cast<std::size_t>(count);
        if (size > bytes_max) {
            return fail(errc::too_large, concat(path, " is longer than ", bytes_max, " bytes"));
        }
    }
    text.resize(size);
    return text;
}

// The profile that a section's head names; empty for other kinds of sections.
std::string_view profile_name(std::string_view head, bool is_config_file) {
    head = trim(head);
    if (!is_config_file || head == "default") {
        return head;
    }
    const auto space = head.find_first_of(" \t");
    return head.substr(0, space) == "profile" && space != std::string_view::npos
               ? trim(head.substr(space))
               : std::string_view();
}

result<> merge_file(const std::string& path, bool is_config_file, profile_set& into) {
    auto text = read_file(path, profile_file_bytes_max);
    if (!text) {
        return text.error().os_error == ENOENT ? result<>{} : propagate(text);
    }
    for (auto& [name, values] : parse_profiles(*text, is_config_file)) {
        for (auto& [key, value] : values) {
            into[name][key] = value;
        }
    }
    return {};
}

}  // namespace

profile_set parse_profiles(std::string_view text, bool is_config_file) {
    profile_set out;
    profile* current = nullptr;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto content = trim(line);
        if (content.empty() || content.starts_with('#') || content.starts_with(';')) {
            continue;
        }
        if (content.starts_with('[')) {
            const auto name =
                profile_name(content.substr(1, content.find(']') - 1), is_config_file);
            current = name.empty() ? nullptr : &out[std::string(name)];
            continue;
        }
        const auto equals = content.find('=');
        const bool is_nested = line.starts_with(' ') || line.starts_with('\t');
        if (current == nullptr || equals == std::string_view::npos || is_nested) {
            continue;
        }
        std::string key(trim(content.substr(0, equals)));
        std::ranges::transform(key, key.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        // A comment behind a value begins with white space.
        auto value = content.substr(equals + 1);
        for (const std::string_view mark : {" #", " ;", "\t#", "\t;"}) {
            value = value.substr(0, value.find(mark));
        }
        (*current)[key] = trim(value);
    }
    return out;
}

result<profile_set> read_profiles(const environment& from) {
    const auto path_of = [&](std::string_view variable, std::string_view name) {
        const auto set = value_of(from, variable);
        const auto home = value_of(from, "HOME");
        return set ? *set : home ? concat(*home, "/.aws/", name) : std::string();
    };
    profile_set out;
    for (const bool is_config_file : {true, false}) {
        const auto path = is_config_file ? path_of("AWS_CONFIG_FILE", "config")
                                         : path_of("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        if (path.empty()) {
            continue;
        }
        if (auto merged = merge_file(path, is_config_file, out); !merged) {
            return propagate(merged);
        }
    }
    return out;
}

result<std::string> read_small_file(const std::string& path) {
    auto text = read_file(path, small_file_bytes_max);
    return text ? result<std::string>(std::string(trim(*text))) : text;
}

std::vector<std::string> split_command(std::string_view line) {
    std::vector<std::string> words;
    std::string word;
    bool inside = false;
    char quote = '\0';
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (c == '\\' && quote != '\'' && i + 1 < line.size()) {
            word += line[++i];
            inside = true;
        } else if (quote != '\0') {
            if (c == quote) {
                quote = '\0';
            } else {
                word += c;
            }
        } else if (c == '"' || c == '\'') {
            quote = c;
            inside = true;
        } else if (c == ' ' || c == '\t') {
            if (inside) {
                words.push_back(std::move(word));
                word.clear();
            }
            inside = false;
        } else {
            word += c;
            inside = true;
        }
    }
    if (quote != '\0') {
        return {};
    }
    if (inside) {
        words.push_back(std::move(word));
    }
    return words;
}

}  // namespace hearth::aws
