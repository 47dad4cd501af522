#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

// Which cgroup hierarchies the host has and where this process is in each. Pure: the two /proc
// files are parsed from their text.

namespace hearth::sandbox {

// Absolute directories of this process's own cgroup; empty where there is no such hierarchy.
// Version 1 controllers that share a mount have the same directory.
struct cgroup_layout {
    std::string unified;        // v2
    std::string unified_mount;  // v2's mountpoint
    std::string memory;         // v1
    std::string pids;           // v1
    std::string cpu;            // v1
};

// From the text of /proc/self/mountinfo and /proc/self/cgroup.
[[nodiscard]] cgroup_layout parse_cgroup_layout(std::string_view mountinfo,
                                                std::string_view self_cgroup);

// Of the running process.
[[nodiscard]] result<cgroup_layout> read_cgroup_layout();

}  // namespace hearth::sandbox
