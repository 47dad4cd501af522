#pragma once

#include <cstdint>

#include "sandbox/seccomp.h"

namespace hearth::sandbox {

// All that a process forked from the zygote needs to know to become the Python of a prepared
// sandbox. The descriptors are its own copies.
struct joining {
    std::uint64_t file_bytes_max = 0;
    std::uint32_t pids = 0;
    std::uint32_t landlock = 0;  // ABI
    int init = -1;               // pidfd of the sandbox's init, whose namespaces it joins
    int control_stream = -1;
    int output = -1;
    int status = -1;
    const seccomp_program* filter = nullptr;
};

// Seals the calling process, a fresh fork of the zygote inside the sandbox's cgroups and pid
// namespace, as contain() seals one that is to execute Python: the same layers by the same
// functions, where they are not already those of the namespaces that it joins. Reports `sealed` as
// its last act; descriptors 0 to 3 are left. Each step is fail-closed: the first that fails is
// reported by name and errno, and the process ends.
void join(joining& plan) noexcept;

}  // namespace hearth::sandbox
