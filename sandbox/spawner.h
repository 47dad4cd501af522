#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/host_ids.h"
#include "sandbox/mounts.h"
#include "sandbox/options.h"
#include "sandbox/protocol.h"
#include "sandbox/seccomp.h"
#include "sandbox/zygote_supply.h"

// Starts sandboxes: everything that is the same for all of them is prepared once, then start()
// makes one cgroup, one process, and lets it seal itself. start() does not wait for that: the
// process reports on its status pipe.

namespace hearth::sandbox {

// What a sandbox is made with ahead of requests. Only memory and CPU can be given to it later: the
// others are sizes of its mounts and limits of its processes.
[[nodiscard]] create_packet parked_limits();
[[nodiscard]] bool fits_parked(const create_packet& wanted);

// What a sandbox without Python waits with for the zygote.
struct shell {
    fork_request request;
    unique_fd control_stream;  // these are the sandbox's ends
    unique_fd output;
    unique_fd status;
    unique_fd adoption;
};

struct started_sandbox {
    std::uint64_t zygote = 0;  // that forks its Python (zygote_supply); 0: it is executed
    cgroup group;
    pid_t init = -1;
    unique_fd init_pidfd;
    unique_fd status;              // read end, non-blocking
    unique_fd control_stream;      // the worker's end
    unique_fd output;              // read end, non-blocking
    std::optional<shell> waiting;  // for the zygote, once init said `shell`
    unique_fd mount_namespace;     // of a parked one: where its code will be mounted
};

struct wiring;

struct spawn_failure {
    std::string stage;
    error cause;
};

class spawner {
public:
    // Start-up: leaves the host's mount namespace, builds the root template, finds cgroups,
    // compiles the filters.
    [[nodiscard]] static result<spawner> prepare(const daemon_options& options);

    // `code` is the code directory, -1 for a sandbox that is made ahead. `way` is program, or
    // zygote for one that gets its Python by fork_python(), from the zygote that it names then. On
    // failure nothing is left of the sandbox.
    [[nodiscard]] std::expected<started_sandbox, spawn_failure> start(const create_packet& wanted,
                                                                      std::uint32_t slot, int code,
                                                                      start_way way);
    // Asks the zygote for the Python of a shell. After a failure the sandbox must be killed.
    [[nodiscard]] std::expected<void, spawn_failure> fork_python(started_sandbox& made,
                                                                 bool to_be_parked);
    [[nodiscard]] zygote_supply& zygotes() { return *zygotes_; }
    [[nodiscard]] const zygote_supply& zygotes() const { return *zygotes_; }
    // Gives a sandbox that was made ahead its limits and its code. After a failure it must be
    // killed.
    [[nodiscard]] std::expected<void, spawn_failure> specialise(const started_sandbox& ahead,
                                                                const create_packet& wanted,
                                                                int code) const;

    [[nodiscard]] const cgroup_tree& cgroups() const { return *cgroups_; }
    [[nodiscard]] std::uint32_t landlock() const { return landlock_; }
    [[nodiscard]] const host_ids& ids() const { return ids_; }

private:
    spawner(host_ids ids, mount_namespaces mounts, std::unique_ptr<cgroup_tree> cgroups)
        : ids_(ids), mounts_(std::move(mounts)), cgroups_(std::move(cgroups)) {}

    [[noreturn]] void become_sandbox(const create_packet& wanted, wiring& wires,
                                     std::span<const unique_fd> lists, int code_mount,
                                     start_way way) const noexcept;
    [[nodiscard]] result<> admit(const started_sandbox& made, std::uint32_t slot,
                                 unique_fd& go) const;

    host_ids ids_;
    mount_namespaces mounts_;
    std::unique_ptr<cgroup_tree> cgroups_;
    std::optional<zygote_supply> zygotes_;
    seccomp_program function_filter_;
    seccomp_program init_filter_;
    unique_fd own_pidfd_;
    std::uint32_t landlock_ = 0;
    std::string python_;
};

}  // namespace hearth::sandbox
