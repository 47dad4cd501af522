#pragma once

#include <cstddef>

#include "base/result.h"

// The memory that forks share, and giving it back.
//
// Problem: CPython counts references in the objects, so a fork that only looks at an object writes
// to its page and has a copy from then on. Half of the copies that a call makes are equal to the
// original again once the call is over; anonymous memory has no way back to sharing. Solution: once
// all is prepared, the zygote moves its writable memory into a sealed memory file and maps that
// privately at the same addresses. A fork that is idle compares its copies with the file and drops
// those that are equal (MADV_DONTNEED), which puts the file's page in their place.
//
// Forks cannot write the file: it is sealed, and they have no descriptor of it.

namespace hearth::sandbox::zygote_memory {

// In the zygote, once, when everything that forks share is in place. One thread. `descriptors`
// is its /proc/self/fd, since it has no /proc; `stack` an address in the stack on which forks run.
// That stack and the thread's own data stay as they are.
[[nodiscard]] result<> move_to_file(int descriptors, const void* stack);

// In a fork: drops the copies that are equal to what the zygote had; how many pages. Does nothing
// where the process has more than one thread, since another could write between look and drop.
std::size_t release_equal_pages() noexcept;

}  // namespace hearth::sandbox::zygote_memory
