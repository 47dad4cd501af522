#include "tests/unit/faas/zip_builder.h"

#include <zlib.h>

#include "base/check.h"

namespace hearth::test {
namespace {

void put(std::string& out, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
        out += static_cast<char>(value >> (8 * i) & 0xff);
    }
}

std::string deflated(const std::string& content) {
    z_stream stream{};
    constexpr int raw_window = -15;
    HEARTH_CHECK(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, raw_window, 9,
                              Z_DEFAULT_STRATEGY) == Z_OK,
                 "zlib");
    std::string out(deflateBound(&stream, content.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    HEARTH_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib");
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

// The fields that a local header and a directory record share, from "version needed" on.
void put_common(std::string& out, const zip_entry& each, std::size_t packed_size,
                std::size_t name_size) {
    const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(each.content.data()),
                             static_cast<uInt>(each.content.size()));
    put(out, 20, 2);
    put(out, each.flags, 2);
    put(out, each.method, 2);
    put(out, 0, 2);       // time
    put(out, 0x5821, 2);  // date
    put(out, each.claimed_crc.value_or(static_cast<std::uint32_t>(crc)), 4);
    put(out, packed_size, 4);
    put(out, each.claimed_size.value_or(static_cast<std::uint32_t>(each.content.size())), 4);
    put(out, name_size, 2);
    put(out, 0, 2);  // extra field
}

void put_directory_record(std::string& out, const zip_entry& each, std::size_t packed_size,
                          std::size_t offset) {
    put(out, 0x02014b50, 4);
    put(out, 20 | each.system << 8, 2);
    put_common(out, each, packed_size, each.name.size());
    put(out, 0, 2);  // comment
    put(out, 0, 2);  // disk
    put(out, 0, 2);  // internal attributes
    put(out, std::uint64_t{each.mode} << 16, 4);
    put(out, offset, 4);
    out += each.name;
}

}  // namespace

std::string make_zip(const std::vector<zip_entry>& entries, const zip_end& end) {
    std::string out;
    std::string directory;
    for (const zip_entry& each : entries) {
        const std::size_t offset = out.size();
        const std::string packed =
            each.method == method_deflated ? deflated(each.content) : each.content;
        const std::string local_name = each.local_name.value_or(each.name);
        put(out, 0x04034b50, 4);
        put_common(out, each, packed.size(), local_name.size());
        out += local_name;
        out += packed;
        put_directory_record(directory, each, packed.size(), offset);
    }
    const std::size_t directory_offset = out.size();
    const std::size_t directory_size = directory.size();
    if (end.cut_directory) {
        directory.resize(directory.size() / 2);
    }
    out += directory;
    if (end.claimed_entries) {
        const std::size_t record_offset = out.size();
        put(out, 0x06064b50, 4);
        put(out, 44, 8);
        put(out, 45, 2);
        put(out, 45, 2);
        put(out, 0, 8);  // disks
        put(out, *end.claimed_entries, 8);
        put(out, *end.claimed_entries, 8);
        put(out, directory_size, 8);
        put(out, directory_offset, 8);
        put(out, 0x07064b50, 4);
        put(out, 0, 4);
        put(out, record_offset, 8);
        put(out, 1, 4);
    }
    put(out, 0x06054b50, 4);
    put(out, 0, 4);  // disks
    const std::uint64_t count = end.claimed_entries ? 0xffff : entries.size();
    put(out, count, 2);
    put(out, count, 2);
    put(out, end.claimed_entries ? 0xffffffff : directory_size, 4);
    put(out, end.claimed_entries ? 0xffffffff : directory_offset, 4);
    put(out, 0, 2);
    return out;
}

}  // namespace hearth::test
