#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::faas {

// Zip archives that users upload. They are hostile: every entry is checked before anything is
// written (name, kind, size, count, ratio), contents are counted as they are decompressed, and
// files are made beneath one directory only. Refusals are errc::invalid_argument or errc::too_large
// with a message for the uploader. Blocking: for the thread pool.

inline constexpr std::size_t archive_name_bytes_max = 1024;
inline constexpr std::size_t archive_component_bytes_max = 255;  // NAME_MAX
inline constexpr std::size_t archive_depth_max = 32;
inline constexpr std::size_t archive_ratio_max = 200;  // unpacked to packed, above 1 MiB unpacked

struct archive_summary {
    std::size_t entries = 0;
    std::size_t unpacked_bytes = 0;
    std::vector<std::string> top_level_modules;  // stems of the .py files in the root
};

// Reads the whole archive, checksums included, and writes nothing.
[[nodiscard]] result<archive_summary> check_archive(int zip_file);

// Checks and unpacks into the empty directory `directory`. Directories get mode 0755, files 0644
// or, when the archive marks them executable, 0755. After an error the directory holds a part.
[[nodiscard]] result<archive_summary> unpack_archive(int zip_file, int directory);

}  // namespace hearth::faas
