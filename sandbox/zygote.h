#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/seccomp.h"
#include "sandbox/zygote_protocol.h"

// The process that Pythons are forked from.
//
// Problem: executing Python and importing what most functions need takes tens of milliseconds and
// megabytes, per sandbox. Solution: one process does it once and is forked, so that siblings share
// the pages. A fork has to be by the C library, with CPython's hooks around it, by the only thread;
// and it has to be born into the sandbox's pid namespace and cgroups, as a child of its init.
//
// The zygote is trusted: it sees no function, no request and no result. It has a network namespace
// without a network, the root template as its root, and the three capabilities that joining a
// sandbox takes. It ends when sandboxd closes the socket. One thread.

namespace hearth::sandbox {

class zygote {
public:
    // Isolates the calling process and starts Python in it, with `modules` (with commas) imported
    // beside the usual ones. A missing one ends a zygote of another family than "standard".
    // `socket` stays the caller's.
    [[nodiscard]] static result<zygote> prepare(int socket, const std::string& python,
                                                const char* family, const char* modules);

    // Serves fork requests until the socket ends; in each fork it does not return. An error is a
    // broken promise: a second thread, or a descriptor that nobody should have.
    [[nodiscard]] result<> run();

private:
    explicit zygote(int socket) : socket_(socket) {}

    [[nodiscard]] result<> isolate();
    [[nodiscard]] result<> make_stack();
    [[nodiscard]] result<> check_self(std::size_t received) const;
    void fork_into(const fork_request& request, const received_packet& packet);

    int socket_;
    unique_fd own_pids_;     // pid namespace
    unique_fd threads_;      // /proc/self/task
    unique_fd descriptors_;  // /proc/self/fd
    std::size_t descriptors_open_ = 0;
    std::byte* stack_end_ = nullptr;
    seccomp_program filter_;
};

}  // namespace hearth::sandbox
