#pragma once

#include <cstdint>
#include <span>

#include "sandbox/init.h"
#include "sandbox/protocol.h"

namespace hearth::sandbox {

// All that a new sandbox needs to know, put together by sandboxd before clone3: the child works on
// its copy of the memory and must not allocate. The descriptors are the child's own copies.
struct containment {
    std::uint64_t tmp_bytes = 0;
    std::uint64_t shm_bytes = 0;
    std::uint32_t pids = 0;
    std::uint32_t landlock = 0;       // ABI
    const char* root = nullptr;       // where the root template is mounted
    int go = -1;                      // read end: one byte once ids are in place
    std::span<const int> task_lists;  // of the cgroups to enter
    int parent = -1;                  // pidfd of sandboxd
    int code_mount = -1;              // detached; -1: none yet
    int control_stream = -1;          // of a shell: the adoption pipe, and so is `output`
    int output = -1;
    init_plan init;
};

// Seals the calling process, a fresh child of clone_into_namespaces(), and becomes the sandbox's
// init. The order of the steps is the security argument; each is fail-closed: the first that fails
// is reported by name and errno on the status pipe, and the process ends.
[[noreturn]] void contain(containment& plan) noexcept;

}  // namespace hearth::sandbox
