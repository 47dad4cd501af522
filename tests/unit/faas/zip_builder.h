#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// Writes zip archives byte by byte, so that tests can break every rule of the format (PKWARE's
// APPNOTE.TXT 6.3.9, sections 4.3 and 4.4).

namespace hearth::test {

inline constexpr std::uint8_t made_by_dos = 0;
inline constexpr std::uint8_t made_by_unix = 3;
inline constexpr std::uint16_t flag_encrypted = 1;
inline constexpr std::uint16_t method_stored = 0;
inline constexpr std::uint16_t method_deflated = 8;

struct zip_entry {
    std::string name;
    std::string content;
    std::uint32_t mode = 0100644;  // as stat(2) has it
    std::uint8_t system = made_by_unix;
    std::uint16_t flags = 0;
    std::uint16_t method = method_stored;
    // What the headers say where that differs from the truth.
    std::optional<std::uint32_t> claimed_crc;
    std::optional<std::uint32_t> claimed_size;
    std::optional<std::string> local_name;
};

struct zip_end {
    std::optional<std::uint64_t> claimed_entries;  // by a zip64 record
    bool cut_directory = false;
};

[[nodiscard]] std::string make_zip(const std::vector<zip_entry>& entries, const zip_end& end = {});

}  // namespace hearth::test
