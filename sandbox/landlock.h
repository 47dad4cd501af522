#pragma once

#include <cstdint>

// Landlock: a second wall behind the mount namespace. Paths are readable where the root shows code,
// writable in /tmp and /dev/shm alone; from ABI 6 on, signals and abstract sockets end at the
// sandbox.

namespace hearth::sandbox {

// The kernel's Landlock ABI; 0 when it has none or it is switched off at boot.
[[nodiscard]] std::uint32_t landlock_abi() noexcept;

// Runs in the child after pivot_root and no_new_privs; false with errno set on failure. Does
// nothing for ABI 0.
[[nodiscard]] bool restrict_by_landlock(std::uint32_t abi) noexcept;

// For a process that unpacks an archive: new files and folders beneath `directory`, or nothing at
// all when that is -1; no reading of files, and no TCP from ABI 4 on. Descriptors that are open
// stay usable. Like the above otherwise.
[[nodiscard]] bool restrict_to_new_files(std::uint32_t abi, int directory) noexcept;

}  // namespace hearth::sandbox
