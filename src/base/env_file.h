#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// Files of settings as shells, systemd and Docker read them (".env"). Their dialects differ, so
// this reader takes only what means the same to it and to a shell that sources the file, and
// refuses the rest with the line and a remedy:
//
//   # a comment                       also behind a value, after a blank
//   NAME=value                        no blanks around '='; "export NAME=value" too
//   NAME='taken as it stands'
//   NAME="with \" \\ \$ \` escaped"
//
// Nothing is expanded. A value ends on its line. A name may appear once. Text is UTF-8.

namespace hearth {

inline constexpr std::size_t env_file_bytes_max = 256 * 1024;
inline constexpr std::size_t env_file_problems_max = 100;  // the rest is summed up in one line

struct env_entry {
    std::string name;
    std::string value;
    std::size_t line = 0;  // from 1
};

struct env_file {
    std::vector<env_entry> entries;     // in the file's order, those without a problem
    std::vector<std::string> problems;  // "line 3: what is wrong and what to do", never a value

    [[nodiscard]] const env_entry* find(std::string_view name) const noexcept;
};

[[nodiscard]] env_file parse_env_file(std::string_view text);

// [A-Za-z_][A-Za-z0-9_]*
[[nodiscard]] bool is_variable_name(std::string_view text) noexcept;

}  // namespace hearth
