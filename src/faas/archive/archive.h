#pragma once

#include <cstddef>

#include "base/result.h"
#include "faas/archive/names.h"

namespace hearth::faas {

// Zip archives that users upload. They are hostile: structure, names, kinds, sizes, counts and
// ratios of all entries are checked before anything is written, contents are counted as they are
// unpacked, and files are made beneath one directory only. Refusals are errc::invalid_argument or
// errc::too_large with a message for the uploader. Blocking, and run by hearth-unpack in
// confinement: the server asks faas/archive_intake.h.

inline constexpr std::size_t archive_ratio_max = 200;  // unpacked to packed, above 1 MiB unpacked

struct archive_summary {
    std::size_t entries = 0;
    std::size_t unpacked_bytes = 0;
    // The modules in the root that a handler is looked for in when none is named.
    bool has_main = false;             // main.py
    bool has_lambda_function = false;  // lambda_function.py

    bool operator==(const archive_summary&) const = default;
};

// Reads the whole archive, checksums included, and writes nothing.
[[nodiscard]] result<archive_summary> check_archive(int zip_file);

// Checks and unpacks into the empty directory `directory`. Directories get mode 0755, files 0644
// or, when the archive marks them executable, 0755. After an error the directory holds a part.
[[nodiscard]] result<archive_summary> unpack_archive(int zip_file, int directory);

}  // namespace hearth::faas
