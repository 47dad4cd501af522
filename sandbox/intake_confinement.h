#pragma once

#include <cstdint>

#include "base/result.h"
#include "sandbox/seccomp.h"

namespace hearth::sandbox {

// How hearth-unpack locks itself in before it looks at an archive.
//
// Problem: the process that starts it has no privileges, so that nothing here may need any, and yet
// whoever takes the reader over must find nothing. Solution: what any user may do to themselves.
// In order, and each step that fails ends it:
//
//   before an archive is there (the process waits ready in this state)
//     resource limits; a user namespace with network, IPC and UTS namespaces of its own, where the
//     host lets users make them; death with its starter
//   once it is there
//     descriptors: report, folder, archive, no other; the folder becomes the root, where a user
//     namespace was made; capabilities dropped; Landlock, where the kernel has it; system calls
//
// Of namespaces and Landlock one may be missing, not both: then a taken-over unpacker could name
// the server's files, and the start is refused.

inline constexpr std::uint64_t intake_memory_bytes_max = 256ULL << 20;
inline constexpr std::uint64_t intake_cpu_seconds_max = 20;
inline constexpr std::uint64_t intake_open_files_max = 16;

class intake_confinement {
public:
    // `file_bytes_max` bounds each file that is written.
    [[nodiscard]] static result<intake_confinement> prepare(std::uint64_t file_bytes_max);

    // Moves the descriptors to the numbers of seccomp_policy.h and closes all others.
    // `directory` -1: nothing can be written.
    [[nodiscard]] result<> seal(int socket, int archive, int directory) const;

private:
    intake_confinement() = default;

    bool own_namespaces_ = false;
    std::uint32_t landlock_ = 0;
    seccomp_program to_check_;
    seccomp_program to_unpack_;
};

}  // namespace hearth::sandbox
