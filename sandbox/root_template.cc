#include "sandbox/root_template.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"
#include "sandbox/devices.h"
#include "sandbox/kernel.h"
#include "sandbox/mounts.h"

namespace hearth::sandbox {
namespace {

constexpr std::uint64_t read_only = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr mode_t directory_mode = 0755;
constexpr mode_t file_mode = 0644;

struct generated_file {
    const char* path;
    std::string_view text;
};

constexpr std::array generated_files{
    generated_file{"etc/passwd",
                   "root:x:0:0:root:/:/usr/sbin/nologin\n"
                   "sandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n"
                   "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"},
    generated_file{"etc/group", "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n"},
    generated_file{"etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"},
    generated_file{"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
    generated_file{"etc/host.conf", "multi on\n"},
};

// A detached mount and the place it goes to.
struct placed_mount {
    unique_fd tree;
    std::string target;
    bool is_directory = true;
};

bool exists(const char* path) {
    return ::access(path, F_OK) == 0;
}

result<> add_mount(std::vector<placed_mount>& mounts, const char* source, std::string target,
                   std::uint64_t attributes) {
    struct stat info{};
    if (::stat(source, &info) != 0) {
        return fail_errno(concat("stat of ", source));
    }
    auto tree = detach_path(source, attributes);
    if (!tree) {
        return propagate(tree);
    }
    mounts.push_back({std::move(*tree), std::move(target), S_ISDIR(info.st_mode)});
    return {};
}

// Everything is opened before the template covers its mountpoint.
result<std::vector<placed_mount>> open_sources(const std::string& runtime_dir) {
    std::vector<placed_mount> mounts;
    if (auto ok = add_mount(mounts, "/usr", "usr", read_only); !ok) {
        return propagate(ok);
    }
    if (auto ok = add_mount(mounts, runtime_dir.c_str(), "runtime", read_only); !ok) {
        return propagate(ok);
    }
    for (const char* path : {"/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache"}) {
        if (!exists(path)) {
            continue;
        }
        if (auto ok = add_mount(mounts, path, path + 1, read_only | MOUNT_ATTR_NOEXEC); !ok) {
            return propagate(ok);
        }
    }
    for (const char* path : device_paths) {
        if (auto ok = add_mount(mounts, path, path + 1, device_attributes); !ok) {
            return propagate(ok);
        }
    }
    return mounts;
}

result<> make_directory(const char* path) {
    if (::mkdir(path, directory_mode) != 0 && errno != EEXIST) {
        return fail_errno(concat("mkdir of ", path, " in the root template"));
    }
    return {};
}

result<> make_file(const char* path, std::string_view text) {
    const unique_fd file(::open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, file_mode));
    if (!file ||
        ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        return fail_errno(concat("writing ", path, " in the root template"));
    }
    return {};
}

// /bin, /lib and so on are links into /usr on every system with a merged /usr.
result<> copy_usr_links() {
    for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
        const std::string path = concat("/", name);
        std::array<char, 64> target{};
        const ssize_t length = ::readlink(path.c_str(), target.data(), target.size() - 1);
        if (length < 0 && errno == ENOENT) {
            continue;
        }
        if (length < 0) {
            return fail(errc::unavailable,
                        concat(path,
                               " is not a link into /usr: sandboxes need a host with a merged "
                               "/usr, such as Debian 12 (apt-get install usrmerge)"));
        }
        if (::symlink(target.data(), name) != 0) {
            return fail_errno(concat("symlink ", name, " in the root template"));
        }
    }
    return {};
}

result<> build_skeleton() {
    for (const char* path : {"usr", "etc", "dev", "dev/shm", "proc", "tmp", "code", "runtime"}) {
        if (auto ok = make_directory(path); !ok) {
            return ok;
        }
    }
    for (const auto& [path, text] : generated_files) {
        if (auto ok = make_file(path, text); !ok) {
            return ok;
        }
    }
    for (const auto& [path, target] : device_links) {
        if (::symlink(target, path) != 0) {
            return fail_errno(concat("symlink ", path, " in the root template"));
        }
    }
    return copy_usr_links();
}

result<> attach(const std::vector<placed_mount>& mounts) {
    for (const placed_mount& each : mounts) {
        auto made = each.is_directory ? make_directory(each.target.c_str())
                                      : make_file(each.target.c_str(), "");
        if (!made) {
            return made;
        }
        if (kernel::attach_mount(each.tree.get(), each.target.c_str()) != 0) {
            return fail_errno(concat("move_mount to ", each.target, " in the root template"));
        }
    }
    return {};
}

}  // namespace

result<> build_root_template(const std::string& runtime_dir) {
    auto mounts = open_sources(runtime_dir);
    if (!mounts) {
        return propagate(mounts);
    }
    constexpr unsigned long flags = MS_NOSUID | MS_NODEV;
    if (::mount("hearth-root", template_path, "tmpfs", flags, "mode=755,size=256k,nr_inodes=128") !=
            0 ||
        ::chdir(template_path) != 0) {
        return fail_errno("mount of the root template");
    }
    if (auto ok = build_skeleton(); !ok) {
        return ok;
    }
    if (auto ok = attach(*mounts); !ok) {
        return ok;
    }
    // Read-only in the superblock as well: no mount of it, wherever, can be written again.
    if (::chdir("/") != 0 ||
        ::mount(nullptr, template_path, nullptr, MS_REMOUNT | MS_RDONLY | flags,
                "size=256k,nr_inodes=128") != 0) {
        return fail_errno("sealing the root template");
    }
    return {};
}

}  // namespace hearth::sandbox
