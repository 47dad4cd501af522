#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zip.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/unique_fd.h"
#include "faas/archive/archive.h"
#include "faas/archive/zip_reader.h"
#include "faas/function.h"

// An upload, as it comes, through the code that hearth-unpack runs. What holds for every input: an
// error is for the uploader and says so; what is taken has one reading, which libzip shares name by
// name and byte by byte; and unpacking makes exactly what checking promised, beneath the folder.

namespace {

using namespace hearth;
namespace fs = std::filesystem;

// A folder in memory that ends with the process.
const fs::path& scratch() {
    static const struct folder {
        folder() { HEARTH_CHECK(::mkdtemp(name.data()) != nullptr, "mkdtemp"); }
        ~folder() { fs::remove_all(name); }
        std::string name = "/dev/shm/archive-fuzz-XXXXXX";
        fs::path path = name;
    } made;
    static const fs::path path = made.name;
    return path;
}

unique_fd file_of(const std::uint8_t* data, std::size_t size) {
    unique_fd file(::memfd_create("upload", MFD_CLOEXEC));
    HEARTH_CHECK(file && ::write(file.get(), data, size) == static_cast<ssize_t>(size), "memfd");
    return file;
}

struct close_zip {
    void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};
struct close_file {
    void operator()(zip_file_t* file) const noexcept { zip_fclose(file); }
};

std::string content_by_libzip(zip_t* archive, std::uint64_t index) {
    const std::unique_ptr<zip_file_t, close_file> file(zip_fopen_index(archive, index, 0));
    HEARTH_CHECK(file != nullptr, "libzip opens every entry");
    std::string content;
    std::array<char, 4096> block;
    for (zip_int64_t count = 0; (count = zip_fread(file.get(), block.data(), block.size())) != 0;) {
        HEARTH_CHECK(count > 0, "libzip reads every entry");
        content.append(block.data(), static_cast<std::size_t>(count));
    }
    return content;
}

std::string content_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The unpacked tree against libzip's reading of the same bytes.
void compare(const std::uint8_t* data, std::size_t size, const fs::path& unpacked,
             const faas::archive_summary& summary) {
    zip_error_t problem;
    zip_error_init(&problem);
    zip_source_t* source = zip_source_buffer_create(data, size, 0, &problem);
    const std::unique_ptr<zip_t, close_zip> archive(
        zip_open_from_source(source, ZIP_RDONLY, &problem));
    HEARTH_CHECK(archive != nullptr, zip_error_strerror(&problem));
    const auto count = static_cast<std::uint64_t>(zip_get_num_entries(archive.get(), 0));
    HEARTH_CHECK(count == summary.entries, "as many entries");
    std::size_t bytes = 0;
    std::size_t files = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::string name = zip_get_name(archive.get(), i, ZIP_FL_ENC_RAW);
        const fs::path path = unpacked / name;
        if (name.ends_with('/')) {
            HEARTH_CHECK(fs::is_directory(fs::symlink_status(path)), "a folder is a folder");
            continue;
        }
        HEARTH_CHECK(fs::is_regular_file(fs::symlink_status(path)), "a file is a file");
        const std::string content = content_by_libzip(archive.get(), i);
        HEARTH_CHECK(content_of(path) == content, "the same contents");
        bytes += content.size();
        ++files;
    }
    HEARTH_CHECK(bytes == summary.unpacked_bytes, "as many bytes");
    for (const auto& each : fs::recursive_directory_iterator(unpacked)) {
        files -= each.is_regular_file() ? 1 : 0;
    }
    HEARTH_CHECK(files == 0, "no file but the entries");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const unique_fd file = file_of(data, size);
    const auto checked = faas::check_archive(file.get());
    if (!checked) {
        const error& why = checked.error();
        HEARTH_CHECK(why.code == errc::invalid_argument || why.code == errc::too_large,
                     "an archive can only be the uploader's mistake");
        HEARTH_CHECK(why.message.starts_with("zip: "), "the message says what it is about");
        return 0;
    }
    HEARTH_CHECK(checked->unpacked_bytes <= faas::unpacked_bytes_max, "within the limit");
    const fs::path folder = scratch() / "out";
    fs::create_directory(folder);
    const unique_fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto unpacked = faas::unpack_archive(file.get(), directory.get());
    HEARTH_CHECK(unpacked.has_value() && *unpacked == *checked, "unpacks as it was checked");
    compare(data, size, folder, *unpacked);
    fs::remove_all(folder);
    HEARTH_CHECK(fs::is_empty(scratch()), "nothing beside the folder");
    return 0;
}
