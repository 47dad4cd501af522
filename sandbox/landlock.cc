#include "sandbox/landlock.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hearth::sandbox {
namespace {

// As in the kernel's header from Linux 6.12 on; the build's header may be older.
struct ruleset_attributes {
    std::uint64_t handled_access_fs;
    std::uint64_t handled_access_net;
    std::uint64_t scoped;
};
constexpr std::uint64_t scope_abstract_unix_socket = 1ULL << 0;
constexpr std::uint64_t scope_signal = 1ULL << 1;
constexpr std::uint32_t abi_with_refer = 2;
constexpr std::uint32_t abi_with_truncate = 3;
constexpr std::uint32_t abi_with_network = 4;
constexpr std::uint32_t abi_with_scopes = 6;
constexpr std::uint64_t network_bind_and_connect = 3;

constexpr std::uint64_t access_execute = 1ULL << 0;
constexpr std::uint64_t access_write_file = 1ULL << 1;
constexpr std::uint64_t access_read_file = 1ULL << 2;
constexpr std::uint64_t access_read_dir = 1ULL << 3;
constexpr std::uint64_t access_make_directory = 1ULL << 7;
constexpr std::uint64_t access_make_file = 1ULL << 8;
constexpr std::uint64_t access_refer = 1ULL << 13;
constexpr std::uint64_t access_truncate = 1ULL << 14;
constexpr std::uint64_t access_first_abi = (1ULL << 13) - 1;

constexpr std::uint64_t read_and_run = access_execute | access_read_file | access_read_dir;
constexpr std::uint64_t read_and_write = access_read_file | access_write_file | access_read_dir;

struct path_rule {
    const char* path;
    std::uint64_t access;
};
constexpr std::array path_rules{
    // A rule names an inode, and the kernel's walk from a file up to the root skips the directories
    // that mounts cover. A parked sandbox is sealed before its code is mounted, so a rule of /code
    // would never be seen. The root holds nothing but what may be read.
    path_rule{"/", read_and_run},       path_rule{"/dev", read_and_write},
    path_rule{"/proc", read_and_write}, path_rule{"/tmp", ~0ULL},
    path_rule{"/dev/shm", ~0ULL},
};

std::uint64_t handled_by(std::uint32_t abi) noexcept {
    std::uint64_t handled = access_first_abi;
    if (abi >= abi_with_refer) {
        handled |= access_refer;
    }
    if (abi >= abi_with_truncate) {
        handled |= access_truncate;
    }
    return handled;
}

int create_ruleset(std::uint32_t abi, std::uint64_t network) noexcept {
    ruleset_attributes wanted{};
    wanted.handled_access_fs = handled_by(abi);
    std::size_t size = sizeof wanted.handled_access_fs;
    if (abi >= abi_with_network) {
        wanted.handled_access_net = network;
        size += sizeof wanted.handled_access_net;
    }
    if (abi >= abi_with_scopes) {
        wanted.scoped = scope_abstract_unix_socket | scope_signal;
        size = sizeof wanted;
    }
    return static_cast<int>(::syscall(SYS_landlock_create_ruleset, &wanted, size, 0));
}

bool allow_beneath(int ruleset, int directory, std::uint64_t access) noexcept {
    const landlock_path_beneath_attr beneath{.allowed_access = access, .parent_fd = directory};
    return ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
}

bool add_rule(int ruleset, const path_rule& rule, std::uint64_t handled) noexcept {
    const int directory = ::open(rule.path, O_PATH | O_CLOEXEC);
    if (directory < 0) {
        return false;
    }
    const bool added = allow_beneath(ruleset, directory, rule.access & handled);
    const int saved = errno;
    ::close(directory);
    errno = saved;
    return added;
}

bool enforce(int ruleset) noexcept {
    const bool restricted = ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    const int saved = errno;
    ::close(ruleset);
    errno = saved;
    return restricted;
}

}  // namespace

std::uint32_t landlock_abi() noexcept {
    const long abi =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? static_cast<std::uint32_t>(abi) : 0;
}

bool restrict_by_landlock(std::uint32_t abi) noexcept {
    if (abi == 0) {
        return true;
    }
    const int ruleset = create_ruleset(abi, 0);
    if (ruleset < 0) {
        return false;
    }
    for (const path_rule& rule : path_rules) {
        if (!add_rule(ruleset, rule, handled_by(abi))) {
            return false;
        }
    }
    return enforce(ruleset);
}

bool restrict_to_new_files(std::uint32_t abi, int directory) noexcept {
    if (abi == 0) {
        return true;
    }
    const int ruleset = create_ruleset(abi, network_bind_and_connect);
    constexpr std::uint64_t new_files =
        access_make_file | access_make_directory | access_write_file;
    return ruleset >= 0 && (directory < 0 || allow_beneath(ruleset, directory, new_files)) &&
           enforce(ruleset);
}

}  // namespace hearth::sandbox
