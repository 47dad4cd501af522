#include "faas/archive.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <unordered_set>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zip.h>

#include "base/concat.h"
#include "base/json.h"
#include "base/unique_fd.h"
#include "faas/function.h"

namespace hearth::faas {
namespace {

struct zip_closer {
    void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};
struct zip_file_closer {
    void operator()(zip_file_t* file) const noexcept { zip_fclose(file); }
};

std::unexpected<error> refuse(std::string_view message) {
    return fail(errc::invalid_argument, concat("zip: ", message));
}

// Opens through a descriptor of its own, because libzip closes what it is given.
result<std::unique_ptr<zip_t, zip_closer>> open_zip(int zip_file) {
    // A new open file description: the caller's offset stays where it is.
    const int fd = ::open(concat("/proc/self/fd/", zip_file).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("zip: cannot reopen the upload");
    }
    int code = 0;
    zip_t* archive = zip_fdopen(fd, ZIP_CHECKCONS, &code);
    if (archive == nullptr) {
        ::close(fd);
        if (code == ZIP_ER_EXISTS) {
            return refuse("an entry's name stands twice");
        }
        zip_error_t details;
        zip_error_init_with_code(&details, code);
        std::string text = zip_error_strerror(&details);
        zip_error_fini(&details);
        return refuse(concat("not a readable archive: ", text));
    }
    return std::unique_ptr<zip_t, zip_closer>(archive);
}

// A relative path of plain components in valid UTF-8.
result<> check_name(std::string_view name) {
    if (name.empty() || name.size() > archive_name_bytes_max) {
        return refuse(
            concat("an entry's name is empty or over ", archive_name_bytes_max, " bytes"));
    }
    if (!json::is_valid_utf8(name) ||
        std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
        return refuse("an entry's name is not plain UTF-8");
    }
    if (name.front() == '/' || name.contains('\\')) {
        return refuse(concat("entry \"", name, "\" has an absolute or foreign path"));
    }
    std::size_t depth = 0;
    std::string_view rest = name.ends_with('/') ? name.substr(0, name.size() - 1) : name;
    while (true) {
        const std::size_t slash = rest.find('/');
        const std::string_view component = rest.substr(0, slash);
        if (component.empty() || component == "." || component == "..") {
            return refuse(concat("entry \"", name, "\" leaves its folder"));
        }
        if (component.size() > archive_component_bytes_max || ++depth > archive_depth_max) {
            return refuse(concat("entry \"", name.substr(0, 80),
                                 "…\" is nested too deeply or a "
                                 "part of its path is too long"));
        }
        if (slash == std::string_view::npos) {
            return {};
        }
        rest.remove_prefix(slash + 1);
    }
}

struct entry {
    std::uint64_t index = 0;
    std::string name;
    std::size_t size = 0;
    bool directory = false;
    bool executable = false;
};

// Regular files and directories only; the kind stands in the Unix mode when Unix made the archive.
result<> check_kind(zip_t* archive, entry& each) {
    zip_uint8_t system = 0;
    zip_uint32_t attributes = 0;
    if (zip_file_get_external_attributes(archive, each.index, 0, &system, &attributes) != 0) {
        return refuse(concat("entry \"", each.name, "\" has unreadable attributes"));
    }
    if (system == ZIP_OPSYS_UNIX) {
        const auto mode = static_cast<mode_t>(attributes >> 16);
        const mode_t kind = mode & S_IFMT;
        if (kind != 0 && kind != S_IFREG && kind != S_IFDIR) {
            return refuse(
                concat("entry \"", each.name,
                       "\" is a link or a special file; only files and folders are taken"));
        }
        each.executable = (mode & S_IXUSR) != 0;
    }
    return {};
}

result<entry> check_entry(zip_t* archive, std::uint64_t index) {
    zip_stat_t status;
    if (zip_stat_index(archive, index, ZIP_FL_ENC_RAW, &status) != 0 ||
        (status.valid & (ZIP_STAT_NAME | ZIP_STAT_SIZE)) != (ZIP_STAT_NAME | ZIP_STAT_SIZE)) {
        return refuse(concat("entry ", index, " is unreadable"));
    }
    entry each{.index = index, .name = status.name, .size = status.size};
    if (auto valid = check_name(each.name); !valid) {
        return propagate(valid);
    }
    each.directory = each.name.ends_with('/');
    if ((status.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 &&
        status.encryption_method != ZIP_EM_NONE) {
        return refuse(concat("entry \"", each.name, "\" is encrypted"));
    }
    if (status.size > (1u << 20) && (status.valid & ZIP_STAT_COMP_SIZE) != 0 &&
        status.size / std::max<std::uint64_t>(status.comp_size, 1) > archive_ratio_max) {
        return fail(errc::too_large, concat("zip: entry \"", each.name, "\" unpacks to more than ",
                                            archive_ratio_max, " times its size"));
    }
    if (auto valid = check_kind(archive, each); !valid) {
        return propagate(valid);
    }
    return each;
}

std::unexpected<error> too_large() {
    return fail(errc::too_large,
                concat("zip: unpacks to more than ", unpacked_bytes_max >> 20, " MB"));
}

// No entry may be beneath one that is a file; otherwise only unpacking would find out.
result<> check_folders(const std::vector<entry>& entries) {
    std::unordered_set<std::string_view> files;
    for (const entry& each : entries) {
        if (!each.directory) {
            files.insert(each.name);
        }
    }
    for (const entry& each : entries) {
        const std::string_view name = each.name;
        for (std::size_t slash = name.find('/'); slash != std::string_view::npos;
             slash = name.find('/', slash + 1)) {
            if (files.contains(name.substr(0, slash))) {
                return refuse(concat("\"", name.substr(0, slash), "\" is a file and a folder"));
            }
        }
    }
    return {};
}

// Every entry's directory record, before any content is touched.
result<std::vector<entry>> check_entries(zip_t* archive) {
    const zip_int64_t count = zip_get_num_entries(archive, 0);
    if (count > static_cast<zip_int64_t>(unpacked_entries_max)) {
        return fail(errc::too_large,
                    concat("zip: has ", count, " entries; at most ", unpacked_entries_max));
    }
    std::vector<entry> entries;
    std::unordered_set<std::string> names;
    std::size_t total = 0;
    for (zip_int64_t i = 0; i < count; ++i) {
        auto each = check_entry(archive, static_cast<std::uint64_t>(i));
        if (!each) {
            return propagate(each);
        }
        const std::string bare =
            each->directory ? each->name.substr(0, each->name.size() - 1) : each->name;
        if (!names.insert(bare).second) {
            return refuse(concat("entry \"", each->name, "\" stands twice"));
        }
        if (each->size > unpacked_bytes_max - total) {
            return too_large();
        }
        total += each->size;
        entries.push_back(std::move(*each));
    }
    if (auto valid = check_folders(entries); !valid) {
        return propagate(valid);
    }
    return entries;
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

result<> make_directories(int directory, std::string_view path) {
    for (std::size_t slash = path.find('/'); slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
        const std::string prefix(path.substr(0, slash));
        const std::size_t parent_end = prefix.rfind('/');
        const std::string parent =
            parent_end == std::string::npos ? "." : prefix.substr(0, parent_end);
        const unique_fd at = open_beneath(directory, parent, O_PATH | O_DIRECTORY, 0);
        const std::string name =
            parent_end == std::string::npos ? prefix : prefix.substr(parent_end + 1);
        if (!at || (::mkdirat(at.get(), name.c_str(), 0755) != 0 && errno != EEXIST)) {
            return errno == EEXIST || errno == ENOTDIR
                       ? result<>(refuse(concat("\"", prefix, "\" is a file and a folder")))
                       : result<>(fail_errno("zip: cannot make a folder"));
        }
    }
    return {};
}

// Decompresses one entry to the end, which verifies its checksum; into `file` when that is valid.
result<> read_entry(zip_t* archive, const entry& each, int file, std::size_t& total) {
    const std::unique_ptr<zip_file_t, zip_file_closer> content(
        zip_fopen_index(archive, each.index, 0));
    if (content == nullptr) {
        return refuse(concat("entry \"", each.name, "\": ", zip_strerror(archive)));
    }
    std::array<char, 64 << 10> buffer;
    std::size_t size = 0;
    for (;;) {
        const zip_int64_t count = zip_fread(content.get(), buffer.data(), buffer.size());
        if (count < 0) {
            return refuse(
                concat("entry \"", each.name, "\" is damaged: ", zip_file_strerror(content.get())));
        }
        if (count == 0) {
            break;
        }
        size += static_cast<std::size_t>(count);
        total += static_cast<std::size_t>(count);
        if (size > each.size || total > unpacked_bytes_max) {
            return too_large();  // whatever the directory record said
        }
        for (zip_int64_t written = 0; file >= 0 && written < count;) {
            const ssize_t step =
                ::write(file, buffer.data() + written, static_cast<std::size_t>(count - written));
            if (step < 0) {
                return fail_errno("zip: cannot write a file");
            }
            written += step;
        }
    }
    if (size != each.size) {
        return refuse(concat("entry \"", each.name, "\" is shorter than it says"));
    }
    return {};
}

// `directory` -1 writes nothing.
result<archive_summary> process(int zip_file, int directory) {
    auto archive = open_zip(zip_file);
    if (!archive) {
        return propagate(archive);
    }
    auto entries = check_entries(archive->get());
    if (!entries) {
        return propagate(entries);
    }
    archive_summary summary{.entries = entries->size()};
    for (const entry& each : *entries) {
        unique_fd file;
        if (directory >= 0) {
            if (auto made = make_directories(directory, each.name); !made) {
                return propagate(made);
            }
        }
        if (each.directory) {
            continue;
        }
        if (directory >= 0) {
            file = open_beneath(directory, each.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                                each.executable ? 0755 : 0644);
            if (!file) {
                return errno == EEXIST || errno == EISDIR || errno == ENOTDIR
                           ? result<archive_summary>(
                                 refuse(concat("\"", each.name, "\" is a file and a folder")))
                           : result<archive_summary>(fail_errno("zip: cannot make a file"));
            }
        }
        if (auto read = read_entry(archive->get(), each, file.get(), summary.unpacked_bytes);
            !read) {
            return propagate(read);
        }
        if (!each.name.contains('/') && each.name.ends_with(".py")) {
            summary.top_level_modules.push_back(each.name.substr(0, each.name.size() - 3));
        }
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
