#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

// Namespaces and the ids inside them. A sandbox is born into all seven namespaces by one clone3;
// its only user is `inside_id`, which is one host uid per slot (host_ids.h), so that per-user
// quotas and permission checks of the kernel never couple two sandboxes.

namespace hearth::sandbox {

inline constexpr unsigned inside_id = 1000;
inline constexpr std::string_view oom_score_adjustment = "900";  // of at most 1000

struct cloned_process {
    pid_t process = -1;  // 0 in the child
    unique_fd pidfd;     // of the child, in the parent
};

// clone3 into new user, pid, mount, network, ipc, uts and cgroup namespaces, with all signal
// handlers reset. `cgroup` is a v2 cgroup directory that the child is born into, or -1.
[[nodiscard]] result<cloned_process> clone_into_namespaces(int cgroup);

// Parent: maps inside_id to `host_id` in the child's user namespace, and raises its OOM score so
// that a host short of memory kills sandboxes before services. `process` is an unreaped child.
[[nodiscard]] result<> map_ids(pid_t process, unsigned host_id);

// The rest runs in the child; false with errno set on failure.

// Enters the cgroups whose task lists are given (cgroup.h).
[[nodiscard]] bool enter_cgroups(std::span<const int> task_lists) noexcept;

// Leaves every supplementary group. Where the user namespace lets nobody do that, as below one that
// an ordinary user made, they stay, as groups without a number inside.
[[nodiscard]] bool drop_groups() noexcept;

// Leaves the groups and becomes inside_id. Afterwards every capability of the new user namespace is
// still held.
[[nodiscard]] bool take_identity() noexcept;

// The part of it for a process that joined a sandbox's user namespace: there is no set of groups to
// drop, and setgroups is refused.
[[nodiscard]] bool take_user() noexcept;
[[nodiscard]] bool make_dumpable() noexcept;

// Enters every namespace of the process behind `init` but its user and pid namespaces; then its
// user namespace. The root and the working directory become those of the mount namespace.
[[nodiscard]] bool join_namespaces(int init) noexcept;
[[nodiscard]] bool join_user_namespace(int init) noexcept;

// Forbids further namespaces of every kind, and more than the one user namespace that
// enter_nested_user_namespace makes. Needs that the host's /proc can be seen, so it comes before
// pivot_root.
[[nodiscard]] bool forbid_namespaces() noexcept;

// Enters one more user namespace, which owns no mount and no network: from here on the mounts
// cannot be changed even with every capability. Fails unless the kernel refuses yet another one.
[[nodiscard]] bool enter_nested_user_namespace() noexcept;

// A session of its own (no terminal to push characters into) and a fresh session keyring.
[[nodiscard]] bool new_session() noexcept;
[[nodiscard]] bool set_host_name() noexcept;

// Dies with its parent, the process behind `parent_pidfd`; fails when that is dead already. A
// change of user clears the setting, so it is made again after each.
[[nodiscard]] bool die_with_parent(int parent_pidfd) noexcept;

}  // namespace hearth::sandbox
