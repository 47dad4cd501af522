#include "sandbox/mounts.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/concat.h"
#include "sandbox/kernel.h"

namespace hearth::sandbox {
namespace {

constexpr unsigned clone_tree = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;

bool mount_tmpfs(const char* path, unsigned long flags, std::uint64_t bytes,
                 std::uint64_t inodes) noexcept {
    // After clone3 nothing may allocate, so the option text is put together by hand.
    std::array<char, 96> options{};
    char* at = options.data();
    char* const end = options.data() + options.size() - 1;
    const auto text = [&](std::string_view part) {
        at += part.copy(at, part.size());
    };
    const auto number = [&](std::uint64_t value) {
        at = std::to_chars(at, end, value).ptr;
    };
    text("mode=1777,size=");
    number(bytes);
    text(",nr_inodes=");
    number(inodes);
    return ::mount("tmpfs", path, "tmpfs", flags, options.data()) == 0;
}

// As the namespace shows it in which it was opened.
result<std::string> path_of(int directory) {
    std::array<char, PATH_MAX> path{};
    const ssize_t length =
        ::readlink(concat("/proc/self/fd/", directory).c_str(), path.data(), path.size());
    if (length < 0) {
        return fail_errno("readlink of the code directory");
    }
    return std::string(path.data(), static_cast<std::size_t>(length));
}

// What the current mount namespace has at `path`, if that is the same directory.
unique_fd open_same(const std::string& path, int directory) {
    unique_fd found(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat wanted{};
    struct stat seen{};
    if (!found || ::fstat(directory, &wanted) != 0 || ::fstat(found.get(), &seen) != 0) {
        return {};
    }
    if (wanted.st_dev != seen.st_dev || wanted.st_ino != seen.st_ino) {
        errno = ESTALE;
        return {};
    }
    return found;
}

}  // namespace

result<mount_namespaces> mount_namespaces::separate(bool is_copy) {
    unique_fd host(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    if (!host) {
        return fail_errno("open of /proc/self/ns/mnt");
    }
    if (::unshare(CLONE_NEWNS) != 0) {
        return fail_errno(
            "unshare of the mount namespace (hearth-sandboxd needs root; in a container it also "
            "needs CAP_SYS_ADMIN and a seccomp profile that allows unshare and mount)");
    }
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        return fail_errno("making mounts private");
    }
    unique_fd own(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    if (!own) {
        return fail_errno("open of /proc/self/ns/mnt");
    }
    return mount_namespaces(std::move(host), std::move(own), is_copy);
}

result<unique_fd> mount_namespaces::detach_read_only(int directory) const {
    std::string path;
    if (is_copy_) {
        auto found = path_of(directory);
        if (!found) {
            return propagate(found);
        }
        path = std::move(*found);
    }
    if (::setns(host_.get(), CLONE_NEWNS) != 0) {
        return fail_errno("setns to the host's mount namespace");
    }
    const unique_fd same = is_copy_ ? open_same(path, directory) : unique_fd();
    unique_fd tree;
    if (!is_copy_ || same) {
        tree.reset(
            kernel::open_tree(is_copy_ ? same.get() : directory, "", clone_tree | AT_EMPTY_PATH));
    }
    const int saved = errno;
    HEARTH_CHECK(::setns(own_.get(), CLONE_NEWNS) == 0,
                 "sandboxd could not return to its mount namespace");
    if (!tree) {
        return fail_errno("open_tree of the code directory", saved);
    }
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    attributes.propagation = MS_PRIVATE;
    if (kernel::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, attributes) != 0) {
        return fail_errno("mount_setattr of the code directory");
    }
    return tree;
}

result<> mount_namespaces::attach(int tree, int sandbox, const char* path) const {
    if (::setns(sandbox, CLONE_NEWNS) != 0) {
        return fail_errno("setns to a sandbox's mount namespace");
    }
    const int attached = kernel::attach_mount(tree, path);
    const int saved = errno;
    HEARTH_CHECK(::setns(own_.get(), CLONE_NEWNS) == 0,
                 "sandboxd could not return to its mount namespace");
    if (attached != 0) {
        return fail_errno(concat("move_mount to ", path, " of a sandbox"), saved);
    }
    return {};
}

result<unique_fd> detach_path(const char* path, std::uint64_t attributes) {
    unique_fd tree(kernel::open_tree(AT_FDCWD, path, clone_tree));
    if (!tree) {
        return fail_errno(concat("open_tree of ", path));
    }
    mount_attr wanted{};
    wanted.attr_set = attributes;
    wanted.propagation = MS_PRIVATE;
    if (kernel::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, wanted) != 0) {
        return fail_errno(concat("mount_setattr of ", path));
    }
    return tree;
}

bool enter_template(const char* path) noexcept {
    // The copy that came with the mount namespace is locked, and the kernel does not pivot onto a
    // locked mount; a bind of it is not locked itself, while the mounts below keep their locked
    // flags.
    return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) == 0 && ::chdir(path) == 0;
}

bool mount_scratch(std::uint64_t tmp_bytes, std::uint64_t shm_bytes) noexcept {
    // Programs may run from /tmp, as on Lambda: a function can map its own pages executable anyway.
    return mount_tmpfs("tmp", MS_NOSUID | MS_NODEV, tmp_bytes, tmp_inodes_max) &&
           mount_tmpfs("dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, shm_bytes, shm_inodes_max);
}

bool mount_proc() noexcept {
    return ::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                   "hidepid=invisible,subset=pid") == 0;
}

bool mount_code(int code_mount) noexcept {
    return code_mount < 0 || kernel::attach_mount(code_mount, "code") == 0;
}

bool pivot_into_root() noexcept {
    // With both arguments "." the old root ends up on top of the new one and can be detached at
    // once.
    if (kernel::pivot_root(".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
        return false;
    }
    // A working directory outside the root shows as "(unreachable)/…" (CVE-2024-21626).
    std::array<char, 16> where{};
    if (::getcwd(where.data(), where.size()) == nullptr) {
        return false;
    }
    if (std::string_view(where.data()) != "/") {
        errno = EXDEV;
        return false;
    }
    return true;
}

}  // namespace hearth::sandbox
