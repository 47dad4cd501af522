#pragma once

#include "sandbox/seccomp.h"
#include "sandbox/status_pipe.h"

// The sandbox's pid 1. Python must not be it: as pid 1 it would ignore signals, would have to reap
// orphans, and its death would take the report of how it died with it. Init starts Python as pid 2,
// reaps whatever is orphaned, writes Python's wait status to sandboxd and exits, which ends every
// other process of the pid namespace. It cannot be signalled, traced or seen from inside.

namespace hearth::sandbox {

struct init_plan {
    const seccomp_program* function_filter = nullptr;
    const seccomp_program* init_filter = nullptr;
    char* const* arguments = nullptr;  // of Python; [0] is the program. Null for a shell
    char* const* environment = nullptr;
    int status = -1;  // write end of the status pipe
    milestones reached{};
};

// The init of a shell does not execute Python: it says `shell`, reads the process id
// of the Python that was forked for it from the adoption pipe (descriptor 3), and waits for that.
// Never returns. Everything else of contain() is done; descriptors 0 to 3 are Python's.
[[noreturn]] void run_init(const init_plan& plan) noexcept;

}  // namespace hearth::sandbox
