#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::faas {

// Reads zip archives (PKWARE's APPNOTE.TXT 6.3.9) that are hostile.
//
// Problem: a zip says everything twice, and readers differ in what they believe; archives that mean
// one thing to a scanner and another to an interpreter live on that. Solution: one reader that
// takes only archives of which there is one reading. The end record ends the file and is the only
// one that could; the directory ends where the end record begins; each entry's two headers agree;
// no two entries share a byte; contents are stored or deflated and end exactly where they should.
//
// Every field is checked against the file before it is used, and nothing is allocated by a number
// that stands in the archive but by what has been read. Errors are errc::invalid_argument or
// errc::too_large with a message for the uploader, or errc::io. Blocking.

inline constexpr std::size_t zip_directory_bytes_max = 16u << 20;  // all records together
inline constexpr std::size_t zip_block_bytes = 64u << 10;          // handed to a sink at once

enum class zip_method : std::uint16_t { stored = 0, deflated = 8 };
inline constexpr std::uint8_t zip_made_by_unix = 3;

struct zip_record {
    std::string name;  // as it stands; not checked
    std::uint64_t header_offset = 0;
    std::uint64_t data_offset = 0;
    std::uint64_t packed_bytes = 0;
    std::uint64_t bytes = 0;
    std::uint32_t checksum = 0;    // CRC-32
    std::uint32_t attributes = 0;  // the mode in the upper half when Unix made the archive
    std::uint16_t flags = 0;
    zip_method method = zip_method::stored;
    std::uint8_t made_by = 0;
};

class zip_reader {
public:
    // Gets the contents block by block; an error ends the reading and is handed on.
    using sink = std::function<result<>(std::span<const std::byte>)>;

    // Checks the whole structure, contents apart. `file` stays the caller's, must outlive this and
    // keeps its offset. At most `entries_max` entries: errc::too_large.
    [[nodiscard]] static result<zip_reader> open(int file, std::size_t entries_max);

    // In the directory's order.
    [[nodiscard]] const std::vector<zip_record>& records() const noexcept { return records_; }

    // The entry's contents, checksum verified. Never hands out more than record.bytes.
    [[nodiscard]] result<> read(const zip_record& record, const sink& take) const;

private:
    explicit zip_reader(int file) noexcept : file_(file) {}

    [[nodiscard]] result<> read_directory(std::size_t entries_max);
    [[nodiscard]] result<> check_local_headers();
    [[nodiscard]] result<> read_stored(const zip_record& record, const sink& take) const;
    [[nodiscard]] result<> read_deflated(const zip_record& record, const sink& take) const;

    int file_;
    std::uint64_t directory_offset_ = 0;
    std::vector<zip_record> records_;
};

}  // namespace hearth::faas
