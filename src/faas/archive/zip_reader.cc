#include "faas/archive/zip_reader.h"

#include <algorithm>
#include <array>
#include <memory>

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include "faas/archive/names.h"
#include "faas/archive/zip_fields.h"
#include "faas/function.h"

namespace hearth::faas {
namespace {

using namespace zip;

constexpr std::uint16_t flag_encrypted = 1u << 0;
constexpr std::uint16_t flag_sizes_follow = 1u << 3;  // the local header does not know them
constexpr std::uint16_t flag_patch = 1u << 5;
constexpr std::uint16_t flag_strongly_encrypted = 1u << 6;
constexpr std::uint16_t flag_masked = 1u << 13;  // parts of the headers are encrypted

std::unexpected<error> refuse_entry(std::string_view name, std::string_view what) {
    return refuse(concat("entry \"", shown_name(name), "\" ", what));
}

result<> check_supported(const zip_record& record, std::uint16_t method) {
    if ((record.flags & (flag_encrypted | flag_strongly_encrypted | flag_masked)) != 0) {
        return refuse_entry(record.name, "is encrypted. Pack it without a password");
    }
    if ((record.flags & flag_patch) != 0 ||
        (method != static_cast<std::uint16_t>(zip_method::stored) &&
         method != static_cast<std::uint16_t>(zip_method::deflated))) {
        return refuse_entry(record.name, concat("is packed by method ", method,
                                                "; only stored (0) and deflated (8) are taken"));
    }
    return {};
}

// One directory record from the front of `rest`, which is moved on behind it.
result<zip_record> take_record(bytes& rest) {
    if (rest.size() < record_size || field32(rest, 0) != record_signature) {
        return refuse("its directory is damaged or has fewer entries than its end says");
    }
    const std::size_t name_size = field16(rest, 28);
    const std::size_t extra_size = field16(rest, 30);
    const std::size_t whole = record_size + name_size + extra_size + field16(rest, 32);
    if (whole > rest.size()) {
        return refuse("its directory is damaged: a record leaves it");
    }
    const bytes name = rest.subspan(record_size, name_size);
    zip_record record{.name = {reinterpret_cast<const char*>(name.data()), name.size()},
                      .header_offset = field32(rest, 42),
                      .packed_bytes = field32(rest, 20),
                      .bytes = field32(rest, 24),
                      .checksum = field32(rest, 16),
                      .attributes = field32(rest, 38),
                      .flags = field16(rest, 8),
                      .made_by = static_cast<std::uint8_t>(field16(rest, 4) >> 8)};
    const std::uint16_t method = field16(rest, 10);
    if (auto supported = check_supported(record, method); !supported) {
        return propagate(supported);
    }
    record.method = static_cast<zip_method>(method);
    // APPNOTE 4.5.3: this order.
    const std::array wanted{&record.bytes, &record.packed_bytes, &record.header_offset};
    if (!take_zip64(rest.subspan(record_size + name_size, extra_size), wanted) ||
        field16(rest, 34) != 0) {
        return refuse_entry(record.name, "has a damaged record");
    }
    rest = rest.subspan(whole);
    return record;
}

// Whether a local header says what the directory does. Where sizes follow the contents, it says 0.
bool agrees(bytes header, const zip_record& record) {
    constexpr std::uint16_t compared =
        flag_encrypted | flag_sizes_follow | flag_patch | flag_strongly_encrypted | flag_masked;
    const std::size_t name_size = field16(header, 26);
    const bytes name = header.subspan(local_size, name_size);
    if (((field16(header, 6) ^ record.flags) & compared) != 0 ||
        field16(header, 8) != static_cast<std::uint16_t>(record.method) ||
        std::string_view(reinterpret_cast<const char*>(name.data()), name.size()) != record.name) {
        return false;
    }
    std::uint64_t packed = field32(header, 18);
    std::uint64_t plain = field32(header, 22);
    const std::array wanted{&plain, &packed};
    if (!take_zip64(header.subspan(local_size + name_size), wanted)) {
        return false;
    }
    if ((record.flags & flag_sizes_follow) != 0 && field32(header, 14) == 0 && packed == 0 &&
        plain == 0) {
        return true;
    }
    return field32(header, 14) == record.checksum && packed == record.packed_bytes &&
           plain == record.bytes;
}

struct inflater {
    inflater() {
        constexpr int raw = -MAX_WBITS;  // no header of zlib's own
        ready = ::inflateInit2(&stream, raw) == Z_OK;
    }
    inflater(const inflater&) = delete;
    inflater& operator=(const inflater&) = delete;
    ~inflater() { ::inflateEnd(&stream); }

    z_stream stream{};
    bool ready = false;
};

// Passes contents on and keeps account: never more than the record says, all of it in the checksum.
class measured_sink {
public:
    measured_sink(const zip_record& record, const zip_reader::sink& take)
        : record_(record), take_(take) {}

    result<> add(bytes block) {
        if (block.size() > record_.bytes - size_) {
            return refuse_entry(record_.name, "is longer than its header says. Pack it anew");
        }
        size_ += block.size();
        checksum_ =
            ::crc32_z(checksum_, reinterpret_cast<const Bytef*>(block.data()), block.size());
        return take_(block);
    }
    [[nodiscard]] result<> finish() const {
        if (size_ != record_.bytes) {
            return refuse_entry(record_.name, "is shorter than its header says. Pack it anew");
        }
        if (checksum_ != record_.checksum) {
            return refuse_entry(record_.name,
                                "is damaged: its checksum is wrong. Pack and upload it again");
        }
        return {};
    }

private:
    const zip_record& record_;
    const zip_reader::sink& take_;
    std::uint64_t size_ = 0;
    uLong checksum_ = 0;
};

// fstat(2) itself: the C library's would take a path, which a confined reader may not.
result<std::uint64_t> size_of(int file) {
    struct stat status{};
    if (::syscall(SYS_fstat, file, &status) != 0) {
        return fail_errno("zip: cannot look at the upload");
    }
    return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

result<zip_reader> zip_reader::open(int file, std::size_t entries_max) {
    zip_reader reader(file);
    if (auto read = reader.read_directory(entries_max); !read) {
        return propagate(read);
    }
    if (auto checked = reader.check_local_headers(); !checked) {
        return propagate(checked);
    }
    return reader;
}

result<> zip_reader::read_directory(std::size_t entries_max) {
    const auto size = size_of(file_);
    if (!size) {
        return std::unexpected(size.error());
    }
    if (*size > code_bytes_max) {
        return fail(errc::too_large,
                    concat("zip: is over the limit of ", code_bytes_max >> 20, " MB"));
    }
    const auto place = find_directory(file_, *size);
    if (!place) {
        return std::unexpected(place.error());
    }
    if (place->entries > entries_max) {
        return fail(errc::too_large,
                    concat("zip: has ", place->entries, " entries; at most ", entries_max));
    }
    if (place->bytes > zip_directory_bytes_max) {
        return fail(errc::too_large,
                    concat("zip: its directory is over ", zip_directory_bytes_max >> 20, " MB"));
    }
    std::vector<std::byte> directory(static_cast<std::size_t>(place->bytes));
    if (auto read = read_at(file_, place->offset, directory); !read) {
        return propagate(read);
    }
    directory_offset_ = place->offset;
    bytes rest(directory);
    for (std::uint64_t i = 0; i < place->entries; ++i) {
        auto record = take_record(rest);
        if (!record) {
            return propagate(record);
        }
        records_.push_back(std::move(*record));
    }
    if (!rest.empty()) {
        return refuse("its directory has more entries than its end says. Pack it anew");
    }
    return {};
}

// In the order of the file, so that overlaps show.
result<> zip_reader::check_local_headers() {
    std::vector<zip_record*> in_order;
    in_order.reserve(records_.size());
    for (zip_record& each : records_) {
        in_order.push_back(&each);
    }
    std::ranges::sort(in_order, {}, &zip_record::header_offset);
    std::uint64_t free_from = 0;
    std::vector<std::byte> header;
    for (zip_record* each : in_order) {
        if (each->header_offset < free_from) {
            return refuse_entry(each->name, "shares bytes with another. Pack the archive anew");
        }
        if (each->header_offset > directory_offset_ ||
            directory_offset_ - each->header_offset < local_size) {
            return refuse_entry(each->name, "lies outside of the archive");
        }
        header.resize(local_size);
        if (auto read = read_at(file_, each->header_offset, header); !read) {
            return read;
        }
        const std::uint64_t left = directory_offset_ - each->header_offset - local_size;
        const std::size_t more = std::size_t{field16(header, 26)} + field16(header, 28);
        if (field32(header, 0) != local_signature || more > left ||
            each->packed_bytes > left - more) {
            return refuse_entry(each->name, "lies outside of the archive, or its header is gone");
        }
        header.resize(local_size + more);
        if (auto read = read_at(file_, each->header_offset + local_size,
                                std::span(header).subspan(local_size));
            !read) {
            return read;
        }
        if (!agrees(header, *each)) {
            return refuse_entry(each->name, "has two headers that disagree. Pack the archive anew");
        }
        each->data_offset = each->header_offset + local_size + more;
        free_from = each->data_offset + each->packed_bytes;
    }
    return {};
}

result<> zip_reader::read(const zip_record& record, const sink& take) const {
    return record.method == zip_method::stored ? read_stored(record, take)
                                               : read_deflated(record, take);
}

result<> zip_reader::read_stored(const zip_record& record, const sink& take) const {
    measured_sink measured(record, take);
    std::array<std::byte, zip_block_bytes> block;
    for (std::uint64_t done = 0; done < record.packed_bytes;) {
        const auto size = static_cast<std::size_t>(
            std::min<std::uint64_t>(block.size(), record.packed_bytes - done));
        const auto part = std::span(block).first(size);
        if (auto read = read_at(file_, record.data_offset + done, part); !read) {
            return read;
        }
        if (auto added = measured.add(part); !added) {
            return added;
        }
        done += size;
    }
    return measured.finish();
}

result<> zip_reader::read_deflated(const zip_record& record, const sink& take) const {
    measured_sink measured(record, take);
    inflater unpacker;
    if (!unpacker.ready) {
        return fail(errc::internal, "zip: zlib cannot start");
    }
    z_stream& stream = unpacker.stream;
    std::array<std::byte, zip_block_bytes> packed;
    std::array<std::byte, zip_block_bytes> plain;
    std::uint64_t taken = 0;
    for (int status = Z_OK; status != Z_STREAM_END;) {
        if (stream.avail_in == 0 && taken < record.packed_bytes) {
            const auto size = static_cast<std::size_t>(
                std::min<std::uint64_t>(packed.size(), record.packed_bytes - taken));
            const auto part = std::span(packed).first(size);
            if (auto read = read_at(file_, record.data_offset + taken, part); !read) {
                return read;
            }
            taken += size;
            stream.next_in = reinterpret_cast<Bytef*>(packed.data());
            stream.avail_in = static_cast<uInt>(size);
        }
        stream.next_out = reinterpret_cast<Bytef*>(plain.data());
        stream.avail_out = static_cast<uInt>(plain.size());
        status = ::inflate(&stream, Z_NO_FLUSH);
        // Z_BUF_ERROR: the stream wants more than there is.
        if (status != Z_OK && status != Z_STREAM_END) {
            return refuse_entry(record.name, "is damaged. Pack and upload it again");
        }
        const std::size_t made = plain.size() - stream.avail_out;
        if (auto added = measured.add(std::span(plain).first(made)); !added) {
            return added;
        }
    }
    if (stream.avail_in != 0 || taken != record.packed_bytes) {
        return refuse_entry(record.name, "has bytes behind its end. Pack the archive anew");
    }
    return measured.finish();
}

}  // namespace hearth::faas
