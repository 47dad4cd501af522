#include "embedded/code_store.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"

namespace hearth::embedded {
namespace {

constexpr std::string_view half_written_name = "tmp";

// SHA-256 over blocks.
class hasher {
public:
    hasher() : context_(EVP_MD_CTX_new()) {
        HEARTH_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1,
                     "OpenSSL has no SHA-256");
    }
    void add(std::span<const std::byte> block) {
        HEARTH_CHECK(EVP_DigestUpdate(context_.get(), block.data(), block.size()) == 1,
                     "SHA-256 failed");
    }
    [[nodiscard]] std::string finish() {
        std::array<std::byte, 32> digest;
        HEARTH_CHECK(
            EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()),
                               nullptr) == 1,
            "SHA-256 failed");
        return to_hex(digest);
    }

private:
    struct free_context {
        void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, free_context> context_;
};

bool is_hash(std::string_view text) noexcept {
    return text.size() == 64 && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

result<> check_hash(std::string_view text) {
    if (!is_hash(text)) {
        return fail(errc::invalid_argument, "a code hash is 64 lower-case hexadecimal digits");
    }
    return {};
}

result<> write_all(int fd, std::span<const std::byte> block) {
    while (!block.empty()) {
        const ssize_t count = ::write(fd, block.data(), block.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno("write", errno);
        }
        block = block.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

// Hands `size` bytes of `file`, from its start, to `take` in blocks. Uses no file position, so that
// a descriptor may be shared. errc::corrupt when the file is shorter.
template <class Take>
result<> for_each_block(int file, std::size_t size, deadline until, Take take) {
    std::vector<std::byte> buffer(
        std::min(std::max<std::size_t>(size, 1), code_store::block_bytes));
    for (std::size_t offset = 0; offset < size;) {
        if (steady_clock::now() >= until) {
            return fail(errc::deadline_exceeded, "deadline passed while code was copied");
        }
        const ssize_t count = ::pread(file, buffer.data(), std::min(buffer.size(), size - offset),
                                      static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno("reading code", errno);
        }
        if (count == 0) {
            return fail(errc::corrupt, concat("the code ends after ", offset, " of ", size,
                                              " bytes; upload it again"));
        }
        const auto read = static_cast<std::size_t>(count);
        if (auto taken = take(std::span(buffer).first(read)); !taken) {
            return taken;
        }
        offset += read;
    }
    return {};
}

struct close_directory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

// The names in a directory, without . and ..
result<std::vector<std::string>> names_in(int directory) {
    // A descriptor of its own: the stream takes it over and moves its position.
    const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("listing code", errno);
    }
    const std::unique_ptr<DIR, close_directory> stream(::fdopendir(fd));
    HEARTH_CHECK(stream != nullptr, "fdopendir of a directory");
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(stream.get());
        if (entry == nullptr) {
            if (errno != 0) {
                return fail_errno("listing code", errno);
            }
            return names;
        }
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
}

result<unique_fd> make_directory(int parent, const std::string& path) {
    if (::mkdirat(parent, path.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno(concat("code store: making ", path), errno);
    }
    unique_fd made(::openat(parent, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!made) {
        return fail_errno(concat("code store: opening ", path), errno);
    }
    return made;
}

}  // namespace

result<std::unique_ptr<code_store>> code_store::open(const std::string& directory,
                                                     thread_pool& pool) {
    auto final_files = make_directory(AT_FDCWD, directory);
    if (!final_files) {
        final_files.error().message += "; check that its parent exists and is writable";
        return propagate(final_files);
    }
    auto half_written = make_directory(final_files->get(), std::string(half_written_name));
    if (!half_written) {
        return propagate(half_written);
    }
    auto left = names_in(half_written->get());
    if (!left) {
        return propagate(left);
    }
    for (const std::string& name : *left) {
        if (::unlinkat(half_written->get(), name.c_str(), 0) != 0 && errno != ENOENT) {
            return fail_errno(concat("code store: removing ", directory, "/tmp/", name), errno);
        }
    }
    return std::unique_ptr<code_store>(
        new code_store(directory, std::move(*final_files), std::move(*half_written), pool));
}

code_store::code_store(std::string directory, unique_fd final_files, unique_fd half_written,
                       thread_pool& pool) noexcept
    : directory_(std::move(directory)),
      final_files_(std::move(final_files)),
      half_written_(std::move(half_written)),
      pool_(pool) {}

std::unexpected<error> code_store::failure(std::string_view what, int os_error) const {
    auto failed = fail_errno(concat("code store ", directory_, ": ", what), os_error);
    if (os_error == ENOSPC || os_error == EDQUOT) {
        failed.error().code = errc::unavailable;
        failed.error().message += "; free space on its volume";
    }
    return failed;
}

task<result<>> code_store::put(std::string_view sha256, int file, std::size_t size,
                               deadline until) {
    auto done = co_await pool_.run([&] { return put_now(sha256, file, size, until); });
    co_return done ? std::move(*done) : propagate(done);
}

task<result<unique_fd>> code_store::open(std::string_view sha256, deadline until) {
    auto done = co_await pool_.run([&] { return open_now(sha256, until); });
    co_return done ? std::move(*done) : propagate(done);
}

task<result<>> code_store::remove(std::string_view sha256, deadline until) {
    auto done = co_await pool_.run([&]() -> result<> {
        if (steady_clock::now() >= until) {
            return fail(errc::deadline_exceeded, "deadline passed before code was removed");
        }
        return remove_now(sha256);
    });
    co_return done ? std::move(*done) : propagate(done);
}

task<result<std::vector<faas::code_store::stored>>> code_store::list(std::string_view after,
                                                                     std::size_t limit,
                                                                     deadline until) {
    auto done = co_await pool_.run([&]() -> result<std::vector<stored>> {
        if (steady_clock::now() >= until) {
            return fail(errc::deadline_exceeded, "deadline passed before code was listed");
        }
        return list_now(after, limit);
    });
    co_return done ? std::move(*done) : propagate(done);
}

result<> code_store::put_now(std::string_view sha256, int file, std::size_t size,
                             deadline until) const {
    if (auto valid = check_hash(sha256); !valid) {
        return valid;
    }
    if (size > faas::code_bytes_max) {
        return fail(errc::too_large,
                    concat("code of ", size, " bytes; the most is ", faas::code_bytes_max));
    }
    const std::string name = concat(sha256, ".", make_uuid());
    auto written = write_file(name, sha256, file, size, until);
    if (!written) {
        ::unlinkat(half_written_.get(), name.c_str(), 0);  // a leftover goes at the next start
        return written;
    }
    // Always replaced, also when the name exists: the content is the same, unless the disk damaged
    // it, and then this heals it. Descriptors on the old file stay good.
    if (::renameat(half_written_.get(), name.c_str(), final_files_.get(),
                   std::string(sha256).c_str()) != 0) {
        const int os_error = errno;
        ::unlinkat(half_written_.get(), name.c_str(), 0);
        return failure("rename", os_error);
    }
    if (::fsync(final_files_.get()) != 0) {
        return failure("fsync of the directory", errno);
    }
    return {};
}

result<> code_store::write_file(const std::string& name, std::string_view sha256, int file,
                                std::size_t size, deadline until) const {
    const unique_fd target(
        ::openat(half_written_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!target) {
        // The folder is gone: not_found would say that the code is.
        return errno == ENOENT ? failure("creating a file, whose folder is gone", EIO)
                               : failure("creating a file", errno);
    }
    hasher hash;
    auto copied = for_each_block(file, size, until, [&](std::span<const std::byte> block) {
        hash.add(block);
        return write_all(target.get(), block);
    });
    if (!copied) {
        return copied.error().os_error != 0 ? failure("copying", copied.error().os_error)
                                            : propagate(copied);
    }
    if (hash.finish() != sha256) {
        return fail(errc::corrupt, "the code does not match its SHA-256; upload it again");
    }
    if (::fsync(target.get()) != 0) {
        return failure("fsync", errno);
    }
    return {};
}

result<unique_fd> code_store::open_now(std::string_view sha256, deadline until) const {
    if (auto valid = check_hash(sha256); !valid) {
        return propagate(valid);
    }
    unique_fd file(::openat(final_files_.get(), std::string(sha256).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        if (errno == ENOENT) {
            return fail(errc::not_found, concat("no code with the hash ", sha256));
        }
        return failure("opening code", errno);
    }
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) {
        return failure("reading code", errno);
    }
    hasher hash;
    auto read = for_each_block(file.get(), static_cast<std::size_t>(status.st_size), until,
                               [&](std::span<const std::byte> block) {
                                   hash.add(block);
                                   return result<>{};
                               });
    if (!read) {
        return propagate(read);
    }
    if (hash.finish() != sha256) {
        return fail(errc::corrupt, concat("the stored code ", directory_, "/", sha256,
                                          " is damaged; upload the function again"));
    }
    return file;
}

result<> code_store::remove_now(std::string_view sha256) const {
    if (auto valid = check_hash(sha256); !valid) {
        return valid;
    }
    // Not synced: what a power failure brings back is found and removed again.
    if (::unlinkat(final_files_.get(), std::string(sha256).c_str(), 0) != 0 && errno != ENOENT) {
        return failure("removing code", errno);
    }
    return {};
}

result<std::vector<faas::code_store::stored>> code_store::list_now(std::string_view after,
                                                                   std::size_t limit) const {
    auto names = names_in(final_files_.get());
    if (!names) {
        return propagate(names);
    }
    std::erase_if(*names, [&](const std::string& name) { return !is_hash(name) || name <= after; });
    std::ranges::sort(*names);
    if (names->size() > limit) {
        names->resize(limit);
    }
    std::vector<stored> found;
    for (auto& name : *names) {
        struct stat status{};
        if (::fstatat(final_files_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) {
                continue;  // removed meanwhile
            }
            return failure("reading code", errno);
        }
        const auto at = std::chrono::duration_cast<milliseconds>(
            seconds(status.st_mtim.tv_sec) + std::chrono::nanoseconds(status.st_mtim.tv_nsec));
        found.push_back({std::move(name), at.count()});
    }
    return found;
}

}  // namespace hearth::embedded
