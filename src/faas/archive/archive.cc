#include "faas/archive/archive.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "faas/archive/zip_fields.h"
#include "faas/archive/zip_reader.h"
#include "faas/function.h"

namespace hearth::faas {
namespace {

using zip::refuse;

constexpr std::uint64_t small_bytes = 1u << 20;  // below this no ratio is a bomb

bool is_folder(const zip_record& record) {
    return record.name.ends_with('/');
}

bool is_executable(const zip_record& record) {
    return record.made_by == zip_made_by_unix && (record.attributes >> 16 & S_IXUSR) != 0;
}

// Regular files and directories only; the kind stands in the Unix mode when Unix made the archive.
result<> check_kind(const zip_record& record) {
    const mode_t kind = record.attributes >> 16 & S_IFMT;
    if (record.made_by == zip_made_by_unix && kind != 0 && kind != S_IFREG && kind != S_IFDIR) {
        return refuse(concat("entry \"", shown_name(record.name),
                             "\" is a link or a special file; only files and folders are taken. "
                             "Pack what it points to"));
    }
    if (is_folder(record) && record.bytes != 0) {
        return refuse(concat("entry \"", shown_name(record.name),
                             "\" is a folder with contents. Pack the archive anew"));
    }
    return {};
}

bool is_bomb(std::uint64_t unpacked, std::uint64_t packed) {
    return unpacked > small_bytes &&
           unpacked / std::max<std::uint64_t>(packed, 1) > archive_ratio_max;
}

std::unexpected<error> too_large() {
    return fail(errc::too_large, concat("zip: unpacks to more than ", unpacked_bytes_max >> 20,
                                        " MB. Leave out what the function does not need"));
}

// Every entry's record, before any content is touched.
result<> check_records(const zip_reader& archive, name_tree& names) {
    std::uint64_t total = 0;
    std::uint64_t packed = 0;
    std::size_t files = 0;
    for (const zip_record& each : archive.records()) {
        if (auto valid = check_name(each.name); !valid) {
            return valid;
        }
        if (auto valid = check_kind(each); !valid) {
            return valid;
        }
        if (is_bomb(each.bytes, each.packed_bytes)) {
            return fail(errc::too_large,
                        concat("zip: entry \"", shown_name(each.name), "\" unpacks to more than ",
                               archive_ratio_max, " times its size"));
        }
        if (auto valid = names.add(each.name); !valid) {
            return valid;
        }
        if (each.bytes > unpacked_bytes_max - total) {
            return too_large();
        }
        total += each.bytes;
        packed += each.packed_bytes;
        files += is_folder(each) ? 0 : 1;
        // A name may stand for many folders that have no entry of their own.
        if (files + names.folders().size() > unpacked_entries_max) {
            return fail(errc::too_large, concat("zip: makes more than ", unpacked_entries_max,
                                                " files and folders"));
        }
    }
    if (is_bomb(total, packed)) {
        return fail(errc::too_large,
                    concat("zip: unpacks to more than ", archive_ratio_max, " times its size"));
    }
    if (std::ranges::all_of(archive.records(), is_folder)) {
        return refuse("contains no file. Pack the function's code into it");
    }
    return {};
}

// Opens beneath `directory`: no link is followed and no path leads out.
unique_fd open_beneath(int directory, const std::string& path, std::uint64_t flags,
                       std::uint64_t mode) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    return unique_fd(
        static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
}

std::unexpected<error> fail_to_make(std::string_view path) {
    if (errno == EEXIST || errno == ENOTDIR || errno == EISDIR) {
        return refuse(concat("\"", shown_name(path),
                             "\" is there already: this host takes two names for one. Rename it"));
    }
    return fail_errno("zip: cannot make a file or folder");
}

result<> make_folders(int directory, const name_tree& names) {
    for (const std::string& path : names.folders()) {
        const std::size_t slash = path.rfind('/');
        const bool at_root = slash == std::string::npos;
        const unique_fd parent =
            open_beneath(directory, at_root ? "." : path.substr(0, slash), O_PATH | O_DIRECTORY, 0);
        const std::string name = at_root ? path : path.substr(slash + 1);
        constexpr mode_t mode = 0755;
        if (!parent || ::mkdirat(parent.get(), name.c_str(), mode) != 0) {
            return fail_to_make(path);
        }
    }
    return {};
}

result<> write_all(int file, std::span<const std::byte> block) {
    while (!block.empty()) {
        const ssize_t count = ::write(file, block.data(), block.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno("zip: cannot write a file");
        }
        block = block.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

// Unpacks one file to its end, which verifies its checksum; `directory` -1 writes nothing.
result<> take_file(const zip_reader& archive, const zip_record& record, int directory) {
    if (directory < 0) {
        return archive.read(record, [](std::span<const std::byte>) -> result<> { return {}; });
    }
    constexpr std::uint64_t plain = 0644;
    constexpr std::uint64_t executable = 0755;
    const unique_fd file =
        open_beneath(directory, record.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                     is_executable(record) ? executable : plain);
    if (!file) {
        return fail_to_make(record.name);
    }
    return archive.read(
        record, [&](std::span<const std::byte> block) { return write_all(file.get(), block); });
}

result<archive_summary> process(int zip_file, int directory) {
    auto archive = zip_reader::open(zip_file, unpacked_entries_max);
    if (!archive) {
        return propagate(archive);
    }
    name_tree names;
    if (auto checked = check_records(*archive, names); !checked) {
        return propagate(checked);
    }
    if (directory >= 0) {
        if (auto made = make_folders(directory, names); !made) {
            return propagate(made);
        }
    }
    archive_summary summary{.entries = archive->records().size()};
    for (const zip_record& each : archive->records()) {
        if (is_folder(each)) {
            continue;
        }
        if (auto taken = take_file(*archive, each, directory); !taken) {
            return propagate(taken);
        }
        summary.unpacked_bytes += static_cast<std::size_t>(each.bytes);
        summary.has_main |= each.name == "main.py";
        summary.has_lambda_function |= each.name == "lambda_function.py";
    }
    return summary;
}

}  // namespace

result<archive_summary> check_archive(int zip_file) {
    return process(zip_file, -1);
}

result<archive_summary> unpack_archive(int zip_file, int directory) {
    return process(zip_file, directory);
}

}  // namespace hearth::faas
