#include "sandbox/small_file.h"

#include <array>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"

namespace hearth::sandbox {
namespace {

constexpr std::size_t file_bytes_max = 4ULL << 20;  // /proc/self/mountinfo of a busy host

}  // namespace

result<std::string> read_whole_file(const char* path) {
    return read_file_at(AT_FDCWD, path);
}

result<std::string> read_file_at(int directory, const char* name) {
    const unique_fd file(::openat(directory, name, O_RDONLY | O_CLOEXEC));
    if (!file) {
        return fail_errno(concat("open of ", name));
    }
    std::string text;
    std::array<char, 4096> buffer{};
    while (text.size() < file_bytes_max) {
        const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(concat("read of ", name));
        }
        if (got == 0) {
            return text;
        }
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return fail(errc::too_large, concat(name, " is larger than ", file_bytes_max, " bytes"));
}

result<> write_file_at(int directory, const char* name, std::string_view text) {
    const unique_fd file(::openat(directory, name, O_WRONLY | O_CLOEXEC));
    if (!file) {
        return fail_errno(concat("open of ", name));
    }
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        return fail_errno(concat("write of ", name));
    }
    return {};
}

std::uint64_t number_after(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (!key.empty()) {
            if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') {
                continue;
            }
            line.remove_prefix(key.size() + 1);
        }
        std::uint64_t value = 0;
        std::from_chars(line.data(), line.data() + line.size(), value);
        return value;
    }
    return 0;
}

}  // namespace hearth::sandbox
