#include <algorithm>
#include <optional>
#include <vector>

#include <unistd.h>

#include "faas/archive/zip_fields.h"

namespace hearth::faas::zip {
namespace {

constexpr std::size_t comment_bytes_max = 0xffff;
constexpr std::uint16_t zip64_extra = 0x0001;
constexpr std::string_view not_one_archive =
    "not a readable archive: it is cut short, or bytes follow its end. Pack it anew, for example "
    "with zip -r or python3 -m zipfile -c";

std::unexpected<error> disagreement() {
    return refuse("its end records disagree about where its directory is. Pack it anew");
}

// The offset in `tail` of the one end record whose comment reaches exactly to the end.
result<std::size_t> find_end(bytes tail) {
    std::optional<std::size_t> found;
    for (std::size_t at = 0; at + end_size <= tail.size(); ++at) {
        if (field32(tail, at) != end_signature ||
            at + end_size + field16(tail, at + 20) != tail.size()) {
            continue;
        }
        if (found) {
            return refuse("it could be read as two archives: a comment contains another end");
        }
        found = at;
    }
    if (!found) {
        return refuse(not_one_archive);
    }
    return *found;
}

// The zip64 record and its locator stand right before the end record. Each value that the ordinary
// record has itself must be the same here.
result<directory_place> read_zip64(int file, std::uint64_t end_offset, bytes locator,
                                   const directory_place& plain) {
    if (end_offset < locator_size + end64_size) {
        return disagreement();
    }
    const std::uint64_t expected = end_offset - locator_size - end64_size;
    constexpr std::size_t size_after_itself = end64_size - 12;
    std::array<std::byte, end64_size> record;
    if (auto read = read_at(file, expected, record); !read) {
        return propagate(read);
    }
    const bytes fields(record);
    if (field32(locator, 4) != 0 || field64(locator, 8) != expected || field32(locator, 16) > 1 ||
        field32(fields, 0) != end64_signature || field64(fields, 4) != size_after_itself ||
        field32(fields, 16) != 0 || field32(fields, 20) != 0 ||
        field64(fields, 24) != field64(fields, 32)) {
        return disagreement();
    }
    const directory_place wide{.offset = field64(fields, 48),
                               .bytes = field64(fields, 40),
                               .entries = field64(fields, 32)};
    if ((plain.offset != in_zip64 && plain.offset != wide.offset) ||
        (plain.bytes != in_zip64 && plain.bytes != wide.bytes) ||
        (plain.entries != in_zip64_16 && plain.entries != wide.entries)) {
        return disagreement();
    }
    return wide;
}

}  // namespace

result<> read_at(int file, std::uint64_t offset, std::span<std::byte> into) {
    while (!into.empty()) {
        const ssize_t count = ::pread(file, into.data(), into.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno("zip: cannot read the upload");
        }
        if (count == 0) {
            return refuse(not_one_archive);
        }
        into = into.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

result<directory_place> find_directory(int file, std::uint64_t file_bytes) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(file_bytes, comment_bytes_max + end_size));
    std::vector<std::byte> tail(size);
    if (auto read = read_at(file, file_bytes - size, tail); !read) {
        return propagate(read);
    }
    const auto end = find_end(tail);
    if (!end) {
        return std::unexpected(end.error());
    }
    const bytes record = bytes(tail).subspan(*end, end_size);
    if (field16(record, 4) != 0 || field16(record, 6) != 0 ||
        field16(record, 8) != field16(record, 10)) {
        return refuse("it is one part of several. Pack it as one file");
    }
    directory_place place{.offset = field32(record, 16),
                          .bytes = field32(record, 12),
                          .entries = field16(record, 10)};
    const std::uint64_t end_offset = file_bytes - size + *end;
    std::uint64_t directory_end = end_offset;
    if (end_offset >= locator_size) {
        std::array<std::byte, locator_size> locator;
        if (auto read = read_at(file, end_offset - locator_size, locator); !read) {
            return propagate(read);
        }
        // Looked at whether it is needed or not: other readers follow it in either case.
        if (field32(locator, 0) == locator_signature) {
            auto wide = read_zip64(file, end_offset, locator, place);
            if (!wide) {
                return wide;
            }
            place = *wide;
            directory_end = end_offset - locator_size - end64_size;
        }
    }
    if (place.offset > directory_end || place.bytes != directory_end - place.offset) {
        return refuse(
            "its directory is not where its end says: bytes were cut off, or put before "
            "or after the archive. Pack it anew");
    }
    return place;
}

bool take_zip64(bytes extra, std::span<std::uint64_t* const> wanted) {
    const bool needed =
        std::ranges::any_of(wanted, [](const std::uint64_t* value) { return *value == in_zip64; });
    if (!needed) {
        return true;
    }
    while (extra.size() >= 4) {
        const std::size_t size = field16(extra, 2);
        if (size > extra.size() - 4) {
            return false;
        }
        bytes content = extra.subspan(4, size);
        if (field16(extra, 0) != zip64_extra) {
            extra = extra.subspan(4 + size);
            continue;
        }
        for (std::uint64_t* value : wanted) {
            if (*value != in_zip64) {
                continue;
            }
            if (content.size() < 8) {
                return false;
            }
            *value = field64(content, 0);
            content = content.subspan(8);
        }
        return true;
    }
    return false;
}

}  // namespace hearth::faas::zip
