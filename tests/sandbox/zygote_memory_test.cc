#include "sandbox/zygote_memory.h"

#include <array>
#include <cstddef>
#include <cstring>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace hearth::sandbox {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::byte written{42};

std::byte* a_page() {
    void* page =
        ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? nullptr : static_cast<std::byte*>(page);
}

// What a fork of a zygote finds: exit code 0 when `plain` is as it was and `secret` is wiped.
int look(const std::byte* plain, const std::byte* secret) {
    return *plain == written && *secret == std::byte{0} ? 0 : 1;
}

// A process that becomes a zygote as far as its memory goes; its exit code.
int move_and_fork() {
    std::byte* plain = a_page();
    std::byte* secret = a_page();
    const unique_fd descriptors(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (plain == nullptr || secret == nullptr || !descriptors ||
        ::madvise(secret, page_bytes, MADV_WIPEONFORK) != 0) {
        return 2;
    }
    *plain = *secret = written;
    if (!zygote_memory::move_to_file(descriptors.get(), &descriptors) || *secret != written) {
        return 3;
    }
    const pid_t fork_of_it = ::fork();
    if (fork_of_it == 0) {
        ::_exit(look(plain, secret));
    }
    int status = 0;
    ::waitpid(fork_of_it, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

TEST(zygote_memory, forks_find_what_was_there_but_not_what_is_to_be_wiped) {
    const pid_t zygote = ::fork();
    if (zygote == 0) {
        ::_exit(move_and_fork());
    }
    int status = 0;
    ASSERT_EQ(::waitpid(zygote, &status, 0), zygote);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace hearth::sandbox
