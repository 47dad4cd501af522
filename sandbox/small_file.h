#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

// Reading and writing the small text files of /proc and cgroupfs.

namespace hearth::sandbox {

[[nodiscard]] result<std::string> read_whole_file(const char* path);

// Relative to a directory descriptor. A write is one write(2), as cgroupfs wants it.
[[nodiscard]] result<std::string> read_file_at(int directory, const char* name);
[[nodiscard]] result<> write_file_at(int directory, const char* name, std::string_view text);

// The number after `key` in lines of "key number"; 0 when there is none. With an empty key, the
// number at the beginning.
[[nodiscard]] std::uint64_t number_after(std::string_view text, std::string_view key);

}  // namespace hearth::sandbox
