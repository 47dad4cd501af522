#pragma once

#include <sys/types.h>

#include "base/result.h"

// The pages that a fork of the zygote writes to on the way through its first call.
//
// Problem: every fork writes to the same four hundred pages, and a trap for each is a fifth of what
// a fork computes before the function's first line. Solution: the zygote has one fork make an
// example call, and looks at what became of its page table; later forks copy those pages by a
// system call for each run of neighbours.
//
// What is copied too much is equal to the original, and given back when the fork is idle
// (zygote_memory.h). A page that was not learnt is copied when it is written to. Main thread.

namespace hearth::sandbox::fork_pages {

// In the zygote, once, after zygote_memory::move_to_file(). `example` is its fork, which has made
// its call and waits; `descriptors` is the zygote's /proc/self/fd, since it has no /proc. A kernel
// that shows no page tables teaches nothing.
[[nodiscard]] result<> learn(int descriptors, pid_t example);

// In a fork.
void copy_ahead() noexcept;

}  // namespace hearth::sandbox::fork_pages
