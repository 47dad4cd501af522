#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/unique_fd.h"

namespace hearth::test {

struct fd_pair {
    unique_fd ours;
    unique_fd theirs;
};

[[nodiscard]] inline fd_pair make_socket_pair(int type = SOCK_STREAM) {
    int fds[2];
    HEARTH_CHECK(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) == 0, "socketpair failed");
    return {unique_fd(fds[0]), unique_fd(fds[1])};
}

// `ours` is the end to read.
[[nodiscard]] inline fd_pair make_pipe() {
    int fds[2];
    HEARTH_CHECK(::pipe2(fds, O_CLOEXEC) == 0, "pipe failed");
    return {unique_fd(fds[0]), unique_fd(fds[1])};
}

// Writes all of it, blocking.
inline void write_fully(const unique_fd& fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd.get(), text.data(), text.size());
        HEARTH_CHECK(count > 0, "write failed");
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

// Text whose every part is recognisable, so that a lost, doubled or misplaced byte shows.
[[nodiscard]] inline std::string patterned_text(std::size_t size, unsigned seed = 1) {
    std::string text(size, '\0');
    unsigned state = seed * 2654435761U + 1;
    for (char& each : text) {
        state = state * 1664525U + 1013904223U;
        each = static_cast<char>(state >> 24);
    }
    return text;
}

[[nodiscard]] inline std::span<std::byte> bytes_of(std::string& text) {
    return std::as_writable_bytes(std::span(text));
}

[[nodiscard]] inline std::size_t open_descriptors() {
    std::size_t count = 0;
    DIR* folder = ::opendir("/proc/self/fd");
    HEARTH_CHECK(folder != nullptr, "no /proc");
    while (::readdir(folder) != nullptr) {
        ++count;
    }
    ::closedir(folder);
    return count;
}

}  // namespace hearth::test
