#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/gauges.h"
#include "sandbox/protocol.h"

// Cgroups: what a sandbox may use, where its processes are, and how all of them are killed at once.
//
// Two forms. Unified: v2 with memory and pids does everything. Hybrid: the host's v1 controllers
// hold the limits, and the v2 tree beside them, which has no controllers, places and kills. Each
// sandbox has one directory per hierarchy, below one of the instance: …/hearth-<instance>/slot-<n>.

namespace hearth::sandbox {

struct cgroup_limits {
    std::uint64_t memory_bytes = 0;
    std::uint32_t pids = 0;        // the sandbox's init included
    std::uint32_t cpu_millis = 0;  // thousandths of one CPU; 0: no limit
};

struct cgroup_usage {
    std::uint32_t oom_kills = 0;
    std::uint64_t memory_peak_bytes = 0;
    std::uint64_t cpu_usec = 0;
    std::uint32_t pids_refused = 0;
};

// How the kernel weighs what wants the same processor (cpu.shares, cpu.weight): an ordinary
// process, or a group that nobody has weighed, and the bounds beyond which it refuses a value.
struct cpu_weights {
    std::uint64_t process;
    std::uint64_t least;
    std::uint64_t most;
};
inline constexpr cpu_weights cpu_weights_v1{.process = 1024, .least = 2, .most = 262'144};
inline constexpr cpu_weights cpu_weights_v2{.process = 100, .least = 1, .most = 10'000};

// Of one sandbox beside others, in proportion to its memory.
[[nodiscard]] std::uint64_t sandbox_cpu_weight(const cpu_weights& of, std::uint64_t memory_bytes);
// Of all sandboxes of an instance together, beside everything else on the host. The kernel divides
// a group's weight among the processors that it is busy on: so they weigh as much as one ordinary
// process on each, however many they are. With the weight of a group that nobody has weighed, that
// is of one process in all, each call waits for whatever else the host has to do.
[[nodiscard]] std::uint64_t instance_cpu_weight(const cpu_weights& of, std::uint64_t processors);

class cgroup_tree;

// The cgroups of one sandbox. The directories stay until remove() has succeeded.
class cgroup {
public:
    // Also for a sandbox that lives: parked ones get the limits of their function late.
    [[nodiscard]] result<> set_limits(const cgroup_limits& limits) const;
    // For CLONE_INTO_CGROUP; -1 without a v2 tree.
    [[nodiscard]] int placement() const;
    // `tasks` of each v1 hierarchy, for a process that was born by placement() to write "0" to: so
    // it enters them. For a thread that moves itself the kernel needs none of the lock that
    // cgroup.procs takes, which waits for every processor for milliseconds.
    [[nodiscard]] result<std::vector<unique_fd>> open_task_lists() const;
    // For the worker: read-only but for the freezer; without those that the kernel does not have.
    [[nodiscard]] result<gauges> open_gauges() const;
    // v1 kills one process and lets the rest run: an eventfd, non-blocking, that becomes readable
    // when the sandbox is out of memory, so that all of it can be ended. Empty on v2, where the
    // kernel does that.
    [[nodiscard]] result<unique_fd> watch_out_of_memory() const;
    [[nodiscard]] cgroup_usage usage() const;
    void kill() const;
    // errc::conflict while a process of it is still ending: try again.
    [[nodiscard]] result<> remove();

private:
    friend class cgroup_tree;
    explicit cgroup(const cgroup_tree& tree, std::string name)
        : tree_(&tree), name_(std::move(name)) {}

    const cgroup_tree* tree_;
    std::string name_;
    std::vector<unique_fd> directories_;  // one per hierarchy of the tree, in its order
};

class cgroup_tree {
public:
    // Finds the form, takes the instance's directories for itself and clears what an earlier
    // process of the instance left behind. errc::unavailable, with the remedy, when memory or pids
    // cannot be limited and `allow_no_limits` is not set. What an ordinary user (`is_rootless`) may
    // rule is a delegated v2 cgroup, and nothing else.
    [[nodiscard]] static result<cgroup_tree> open(const std::string& instance, bool allow_no_limits,
                                                  bool is_rootless);
    cgroup_tree(cgroup_tree&&) noexcept = default;
    cgroup_tree& operator=(cgroup_tree&&) noexcept = default;
    cgroup_tree(const cgroup_tree&) = delete;
    cgroup_tree& operator=(const cgroup_tree&) = delete;
    ~cgroup_tree() = default;

    // Directories with their limits set. The tree must outlive them.
    [[nodiscard]] result<cgroup> make(const std::string& name, const cgroup_limits& limits) const;
    // The instance's own directories. Every cgroup in them must be gone.
    [[nodiscard]] result<> remove() const;

    [[nodiscard]] cgroup_form form() const { return form_; }
    [[nodiscard]] bool limits_memory() const;
    [[nodiscard]] bool limits_pids() const;
    [[nodiscard]] bool limits_cpu() const;

private:
    friend class cgroup;
    struct hierarchy {
        std::string path;  // of the instance's directory
        unique_fd directory;
        bool is_v2 = false;
        bool memory = false;
        bool pids = false;
        bool cpu = false;
    };

    cgroup_tree() = default;
    [[nodiscard]] result<> find_hierarchies(const std::string& instance, bool is_rootless);
    [[nodiscard]] result<> use_unified(const std::string& parent, const std::string& instance,
                                       bool needs_cpu);
    void add_v1(const std::string& parent, const std::string& instance,
                bool hierarchy::* controller);
    [[nodiscard]] result<> make_directories();
    [[nodiscard]] bool directories_stand() const;
    [[nodiscard]] result<> open_directories();
    [[nodiscard]] result<> remove_leftovers() const;
    [[nodiscard]] result<> weigh() const;

    std::vector<hierarchy> hierarchies_;
    cgroup_form form_ = cgroup_form::none;
};

}  // namespace hearth::sandbox
