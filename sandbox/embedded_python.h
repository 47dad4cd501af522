#pragma once

#include <string>

#include <sys/types.h>

#include "base/result.h"

// The Python interpreter inside hearth-zygote: started once, with everything imported that many
// functions need, and then forked. Main thread only; there must never be another.

namespace hearth::sandbox::embedded_python {

struct preparation {
    std::string python;
    const char* family;
    const char* modules;  // with commas
    int descriptors;      // these two are for zygote_memory::move_to_file()
    const void* stack;
};

// Starts the interpreter as `python` with the flags of a sandbox (spawner.cc) would, and prepares
// /runtime/hearth_zygote.py. errc::unavailable when `python` is of another version.
[[nodiscard]] result<> prepare(const preparation& wanted);

// Around a fork: before and after it in the parent, and in the child before serve().
void before_fork();
void after_fork_in_parent();
void after_fork_in_child();

// In a sealed child: makes fresh what siblings must not share and serves the control stream. One
// that is parked rehearses first, since it has the time.
[[noreturn]] void serve(bool is_parked);

}  // namespace hearth::sandbox::embedded_python
