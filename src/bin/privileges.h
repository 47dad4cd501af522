#pragma once

#include <cstddef>
#include <string>

#include <sys/types.h>

#include "base/result.h"

namespace hearth {

// The process that talks to the network has no privileges: started as root, it becomes this user
// once hearth-sandboxd runs and its folders exist. The account "hearth" where there is one;
// otherwise a number next to the sandboxes' range that belongs to nobody.
struct service_user {
    uid_t uid = 0;
    gid_t gid = 0;
};
inline constexpr uid_t nameless_service_uid = 199'999;

[[nodiscard]] service_user find_service_user();

// Makes `folder` with mode 0700 for `user` if it is missing, and checks that the user can reach it.
// As root; for others the user is oneself.
[[nodiscard]] result<> prepare_folder(const std::string& folder, const service_user& user);

// Connections and sandboxes each take descriptors, and the usual soft limit of 1024 is too low for
// many of them: as many as the hard limit allows. Warns when that is fewer than `wanted`.
// The table for them is made at once: each time it grows in a process with threads, whoever opened
// the file waits for a grace period of the kernel, 10 to 25 ms. Before the first thread.
void provide_open_files(std::size_t wanted);

// For good: groups, ids, and no_new_privs. Nothing to do unless root.
[[nodiscard]] result<> drop_privileges(const service_user& user);

}  // namespace hearth
