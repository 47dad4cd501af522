// hearth-sandboxd with one layer missing, for layers_test.py alone: never installed. The linker
// puts these functions in front of the C library's (--wrap), so that the code of the sandbox itself
// has no switch that could be thrown. The layer is the name of the installation's folder:
// <layer>/libexec/hearth/hearth-sandboxd.

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// Read before main(): sandboxes are clones of this process and cannot ask any more.
const std::string& missing_layer() {
    static const std::string layer = std::filesystem::read_symlink("/proc/self/exe")
                                         .parent_path()
                                         .parent_path()
                                         .parent_path()
                                         .filename();
    return layer;
}
[[maybe_unused]] const std::string& read_at_start = missing_layer();

bool without(std::string_view layer) noexcept {
    return missing_layer() == layer;
}

struct namespace_layer {
    std::string_view name;
    std::uint64_t flag;
};
constexpr std::array namespace_layers{namespace_layer{"network-namespace", CLONE_NEWNET},
                                      namespace_layer{"ipc-namespace", CLONE_NEWIPC},
                                      namespace_layer{"uts-namespace", CLONE_NEWUTS},
                                      namespace_layer{"cgroup-namespace", CLONE_NEWCGROUP},
                                      namespace_layer{"pid-namespace", CLONE_NEWPID}};

// Whether the nested user namespace was pretended in this process.
bool nesting_pretended = false;

bool drops_capabilities(int option) noexcept {
    return option == PR_CAPBSET_DROP || option == PR_CAP_AMBIENT || option == PR_SET_SECUREBITS;
}

// The files that hold a sandbox's limit, in both versions of cgroups.
bool is_missing_limit(std::string_view path) noexcept {
    const bool memory = path.ends_with("memory.limit_in_bytes") ||
                        path.ends_with("memory.memsw.limit_in_bytes") ||
                        path.ends_with("memory.max");
    return (memory && without("memory-limit")) ||
           (path.ends_with("pids.max") && without("processes-limit"));
}

}  // namespace

extern "C" {

// The names behind these are the linker's.
long real_syscall(long number, ...) __asm__("__real_syscall");
int real_prctl(int option, ...) __asm__("__real_prctl");
int real_setrlimit(__rlimit_resource resource, const rlimit* limit) __asm__("__real_setrlimit");
int real_unshare(int flags) __asm__("__real_unshare");
ssize_t real_write(int fd, const void* data, std::size_t size) __asm__("__real_write");
int real_openat(int directory, const char* path, int flags, ...) __asm__("__real_openat");
int real_mount(const char* source, const char* target, const char* type, unsigned long flags,
               const void* data) __asm__("__real_mount");
int real_setresuid(uid_t real, uid_t effective, uid_t saved) __asm__("__real_setresuid");

long wrap_syscall(long number, ...) __asm__("__wrap_syscall");
int wrap_prctl(int option, ...) __asm__("__wrap_prctl");
int wrap_setrlimit(__rlimit_resource resource, const rlimit* limit) __asm__("__wrap_setrlimit");
int wrap_unshare(int flags) __asm__("__wrap_unshare");
ssize_t wrap_write(int fd, const void* data, std::size_t size) __asm__("__wrap_write");
int wrap_openat(int directory, const char* path, int flags, ...) __asm__("__wrap_openat");
int wrap_mount(const char* source, const char* target, const char* type, unsigned long flags,
               const void* data) __asm__("__wrap_mount");
int wrap_setresuid(uid_t real, uid_t effective, uid_t saved) __asm__("__wrap_setresuid");

long wrap_syscall(long number, ...) {
    // Pointers and numbers alike: both are one word.
    std::array<void*, 6> words{};
    va_list list;
    va_start(list, number);
    for (void*& each : words) {
        each = va_arg(list, void*);
    }
    va_end(list);
    clone_args without_one{};
    mount_attr writable{};
    if ((number == SYS_seccomp && without("seccomp")) ||
        (number == SYS_landlock_restrict_self && without("landlock")) ||
        (number == SYS_capset && without("capabilities")) ||
        (number == SYS_pivot_root && without("pivot-root"))) {
        return 0;
    }
    if (number == SYS_clone3) {
        without_one = *static_cast<const clone_args*>(words[0]);
        for (const auto& [name, flag] : namespace_layers) {
            if (without(name)) {
                without_one.flags &= ~flag;
            }
        }
        words[0] = &without_one;
    }
    if (number == SYS_mount_setattr && without("read-only-mounts")) {
        writable = *static_cast<const mount_attr*>(words[3]);
        writable.attr_set &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
        words[3] = &writable;
    }
    return real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

int wrap_prctl(int option, ...) {
    std::array<unsigned long, 4> words{};
    va_list list;
    va_start(list, option);
    for (unsigned long& each : words) {
        each = va_arg(list, unsigned long);
    }
    va_end(list);
    if ((drops_capabilities(option) && without("capabilities")) ||
        (option == PR_SET_NO_NEW_PRIVS && without("no-new-privileges")) ||
        (option == PR_SET_PDEATHSIG && without("parent-death-signal"))) {
        return 0;
    }
    return real_prctl(option, words[0], words[1], words[2], words[3]);
}

int wrap_setrlimit(__rlimit_resource resource, const rlimit* limit) {
    return without("resource-limits") ? 0 : real_setrlimit(resource, limit);
}

int wrap_unshare(int flags) {
    if (flags == CLONE_NEWUSER && without("nested-user-namespace")) {
        if (nesting_pretended) {
            errno = ENOSPC;
            return -1;
        }
        nesting_pretended = true;
        return 0;
    }
    return real_unshare(flags);
}

ssize_t wrap_write(int fd, const void* data, std::size_t size) {
    const std::string_view text(static_cast<const char*>(data), size);
    if (nesting_pretended && (text == "deny" || text == "1000 1000 1")) {
        return static_cast<ssize_t>(size);
    }
    return real_write(fd, data, size);
}

int wrap_openat(int directory, const char* path, int flags, ...) {
    if ((flags & O_ACCMODE) != O_RDONLY && is_missing_limit(path)) {
        return real_openat(AT_FDCWD, "/dev/null", flags, 0);
    }
    va_list list;
    va_start(list, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(list, int) : 0;
    va_end(list);
    return real_openat(directory, path, flags, mode);
}

int wrap_mount(const char* source, const char* target, const char* type, unsigned long flags,
               const void* data) {
    const std::string_view kind = type == nullptr ? "" : type;
    if (kind == "proc" && without("proc-subset")) {
        data = nullptr;
    }
    if (kind == "tmpfs" && without("tmpfs-limits") && std::string_view(target) != "/") {
        data = "mode=1777,size=8g,nr_inodes=4000000";
    }
    return real_mount(source, target, type, flags, data);
}

int wrap_setresuid(uid_t real, uid_t effective, uid_t saved) {
    return without("identity") ? 0 : real_setresuid(real, effective, saved);
}

}  // extern "C"
