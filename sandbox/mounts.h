#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

// Mounts of one sandbox. Its root is a copy of the template (root_template.h) in its own mount
// namespace; what differs between sandboxes is put on top: /tmp, /dev/shm and /code.

namespace hearth::sandbox {

// Inodes go with bytes: a file takes at least a page, a directory or link about a kilobyte of
// kernel memory that is charged to the sandbox.
inline constexpr std::uint64_t tmp_inodes_max = 65'536;
inline constexpr std::uint64_t shm_inodes_max = 4'096;

// The host's mount namespace and sandboxd's own. Descriptors that a worker sends refer to mounts of
// the host's, which open_tree accepts only from a process inside it. An ordinary user cannot return
// there; the part of the host's is then taken by a copy that belongs to sandboxd's user namespace
// and gets what the host mounts later, and a directory is found in it by its path and compared.
class mount_namespaces {
public:
    // Moves the calling process into a private copy of the mount namespace it was started in.
    // `is_copy`: that one is the copy, as enter_user_namespace() leaves it.
    [[nodiscard]] static result<mount_namespaces> separate(bool is_copy);

    // A detached copy of the directory behind `directory` (O_PATH) with everything below it:
    // read-only, no set-user-id, no devices. A detached mount has no parent, so that `..` ends at
    // its root.
    [[nodiscard]] result<unique_fd> detach_read_only(int directory) const;

    // Attaches a detached mount at `path` in the mount namespace behind `sandbox`, in which no
    // function has run yet: a function could have put anything at that path.
    [[nodiscard]] result<> attach(int tree, int sandbox, const char* path) const;

private:
    mount_namespaces(unique_fd host, unique_fd own, bool is_copy)
        : host_(std::move(host)), own_(std::move(own)), is_copy_(is_copy) {}

    unique_fd host_;
    unique_fd own_;
    bool is_copy_;
};

// A detached copy of `path` in the current mount namespace with `attributes` (MOUNT_ATTR_…) set.
[[nodiscard]] result<unique_fd> detach_path(const char* path, std::uint64_t attributes);

// The rest runs in the child; false with errno set on failure.

// Stops propagation and makes the template at `path` the working directory, as a mount of its own.
[[nodiscard]] bool enter_template(const char* path) noexcept;
// Private /tmp and /dev/shm below the working directory.
[[nodiscard]] bool mount_scratch(std::uint64_t tmp_bytes, std::uint64_t shm_bytes) noexcept;
// A /proc that shows this pid namespace's processes and nothing else: no /proc/sys, no kernel
// tables, no process that the reader could not trace.
[[nodiscard]] bool mount_proc() noexcept;
// Attaches the detached code directory at /code; -1 leaves /code empty for later.
[[nodiscard]] bool mount_code(int code_mount) noexcept;
// Makes the working directory the root, drops every mount of the host, and checks that it is so.
[[nodiscard]] bool pivot_into_root() noexcept;

}  // namespace hearth::sandbox
