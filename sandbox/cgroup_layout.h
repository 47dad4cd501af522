#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

// Which cgroup hierarchies the host has and where this process is in each. Pure: the two /proc
// files are parsed from their text.

namespace hearth::sandbox {

// Absolute directories; empty where there is no such hierarchy. Version 1 controllers that share a
// mount have the same directory.
struct cgroup_layout {
    std::string unified;        // v2: this process's own cgroup
    std::string unified_mount;  // v2's mountpoint
    std::string memory;         // mountpoints of v1
    std::string pids;
    std::string cpu;
};

// From the text of /proc/self/mountinfo and /proc/self/cgroup.
[[nodiscard]] cgroup_layout parse_cgroup_layout(std::string_view mountinfo,
                                                std::string_view self_cgroup);

// Of the running process.
[[nodiscard]] result<cgroup_layout> read_cgroup_layout();

}  // namespace hearth::sandbox
