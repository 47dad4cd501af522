#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/concat.h"
#include "base/result.h"

// The pieces that the readers of zip structures share.

namespace hearth::faas::zip {

using bytes = std::span<const std::byte>;

inline constexpr std::uint32_t local_signature = 0x0403'4b50;
inline constexpr std::uint32_t record_signature = 0x0201'4b50;
inline constexpr std::uint32_t end_signature = 0x0605'4b50;
inline constexpr std::uint32_t end64_signature = 0x0606'4b50;
inline constexpr std::uint32_t locator_signature = 0x0706'4b50;
inline constexpr std::size_t local_size = 30;
inline constexpr std::size_t record_size = 46;
inline constexpr std::size_t end_size = 22;
inline constexpr std::size_t end64_size = 56;
inline constexpr std::size_t locator_size = 20;
inline constexpr std::uint32_t in_zip64 = 0xffff'ffff;  // "the value is in the zip64 field"
inline constexpr std::uint32_t in_zip64_16 = 0xffff;

// Little-endian; the caller has checked that the field is there.
[[nodiscard]] inline std::uint64_t field(bytes from, std::size_t offset, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- > 0;) {
        value = value << 8 | std::to_integer<std::uint64_t>(from[offset + i]);
    }
    return value;
}
[[nodiscard]] inline std::uint16_t field16(bytes from, std::size_t offset) {
    return static_cast<std::uint16_t>(field(from, offset, 2));
}
[[nodiscard]] inline std::uint32_t field32(bytes from, std::size_t offset) {
    return static_cast<std::uint32_t>(field(from, offset, 4));
}
[[nodiscard]] inline std::uint64_t field64(bytes from, std::size_t offset) {
    return field(from, offset, 8);
}

[[nodiscard]] inline std::unexpected<error> refuse(std::string_view message) {
    return fail(errc::invalid_argument, concat("zip: ", message));
}

// Where the directory lies and how many records it should have.
struct directory_place {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint64_t entries = 0;
};

// Reads exactly `into` at `offset`; errc::invalid_argument when the file ends before.
[[nodiscard]] result<> read_at(int file, std::uint64_t offset, std::span<std::byte> into);

// Finds the end record, and the zip64 one, of a file of `file_bytes`.
[[nodiscard]] result<directory_place> find_directory(int file, std::uint64_t file_bytes);

// The values of a zip64 extra field stand in a fixed order, each only where the ordinary field says
// so. Replaces those of `wanted` that are in_zip64; false when one is missing.
[[nodiscard]] bool take_zip64(bytes extra, std::span<std::uint64_t* const> wanted);

}  // namespace hearth::faas::zip
