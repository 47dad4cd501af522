#pragma once

#include <sys/types.h>

#include "base/result.h"

// The pages that a fork of the zygote touches on the way through its first call.
//
// Problem: every fork touches the same few hundred pages, and each page costs a trap: a copy where
// it writes, an entry in its page table where it reads a library. That is more than half of what a
// fork computes before the function's first line. Solution: the zygote has one fork make an example
// call and looks at what became of its page table. Later forks copy the pages that this one wrote
// to in a few system calls and without a trap. The libraries that it read get one page of the
// zygote's own, equal to the file's: with that, fork copies their page table, which the kernel
// otherwise leaves to be filled again, trap by trap.
//
// What is copied too much is equal to the original, and given back when the fork is idle
// (zygote_memory.h). Nothing here is needed: where a step does not work, pages are copied as they
// are touched. Main thread.

namespace hearth::sandbox::fork_pages {

// In the zygote, once, after zygote_memory::move_to_file(). `example` is its fork, which has made
// its call and waits; `descriptors` is the zygote's /proc/self/fd, since it has no /proc.
[[nodiscard]] result<> learn(int descriptors, pid_t example);

// In a fork.
void copy_ahead() noexcept;

}  // namespace hearth::sandbox::fork_pages
