#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <linux/mount.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

// System calls that Debian 12's C library has no function for. They return -1 and set errno,
// allocate nothing and take no lock, so that a freshly cloned child may use them.

namespace hearth::sandbox::kernel {

inline long clone3(const clone_args& arguments) noexcept {
    return ::syscall(SYS_clone3, &arguments, sizeof arguments);
}

// clone3 with CLONE_VM and a stack of its own: the child runs `run(argument)` there and exits with
// what it returns. In C++ alone the child would return into the caller's frame.
inline long clone3_calling(const clone_args& arguments, int (*run)(void*),
                           void* argument) noexcept {
#if !defined(__x86_64__)
#error "write the child's side of clone3 for this architecture"
#endif
    long result = SYS_clone3;
    register int (*function)(void*) asm("r12") = run;
    register void* value asm("r13") = argument;
    asm volatile(
        "syscall\n\t"
        "test %%rax, %%rax\n\t"
        "jnz 1f\n\t"
        "xor %%ebp, %%ebp\n\t"
        "mov %%r13, %%rdi\n\t"
        "call *%%r12\n\t"
        "mov %%eax, %%edi\n\t"
        "mov %[exit], %%eax\n\t"
        "syscall\n"
        "1:"
        : "+a"(result)
        : "D"(&arguments), "S"(sizeof arguments), "r"(function), "r"(value), [exit] "i"(SYS_exit)
        : "rcx", "r11", "memory");
    if (result < 0) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return result;
}

// A detached copy of the mount at `path` with everything below it.
inline int open_tree(int directory, const char* path, unsigned flags) noexcept {
    return static_cast<int>(::syscall(SYS_open_tree, directory, path, flags));
}

inline int mount_setattr(int directory, const char* path, unsigned flags,
                         const mount_attr& attributes) noexcept {
    return static_cast<int>(
        ::syscall(SYS_mount_setattr, directory, path, flags, &attributes, sizeof attributes));
}

// Attaches a detached mount at `path`, relative to the working directory.
inline int attach_mount(int mount, const char* path) noexcept {
    constexpr int working_directory = -100;  // AT_FDCWD, whose header also declares open_tree
    return static_cast<int>(
        ::syscall(SYS_move_mount, mount, "", working_directory, path, MOVE_MOUNT_F_EMPTY_PATH));
}

// A mount of a new instance of the file system, attached nowhere.
inline int mount_detached(const char* type, unsigned attributes) noexcept {
    const auto context = static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
    if (context < 0) {
        return -1;
    }
    int mount = -1;
    if (::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
        mount = static_cast<int>(::syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes));
    }
    const int saved = errno;
    ::close(context);
    errno = saved;
    return mount;
}

inline int pivot_root(const char* new_root, const char* put_old) noexcept {
    return static_cast<int>(::syscall(SYS_pivot_root, new_root, put_old));
}

inline int close_range(unsigned first, unsigned last, unsigned flags) noexcept {
    return static_cast<int>(::syscall(SYS_close_range, first, last, flags));
}

inline int pidfd_open(pid_t process) noexcept {
    return static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
}

inline int pidfd_send_signal(int pidfd, int signal) noexcept {
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

}  // namespace hearth::sandbox::kernel
