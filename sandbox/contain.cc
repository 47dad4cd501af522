#include "sandbox/contain.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/capabilities.h"
#include "sandbox/descriptors.h"
#include "sandbox/landlock.h"
#include "sandbox/mounts.h"
#include "sandbox/namespaces.h"
#include "sandbox/rlimits.h"
#include "sandbox/status_pipe.h"

namespace hearth::sandbox {
namespace {

// No byte means that sandboxd gave up on this sandbox or is gone.
bool await_go(containment& plan) noexcept {
    char byte = 0;
    const ssize_t got = ::read(plan.go, &byte, 1);
    if (got == 0) {
        errno = ECANCELED;
    }
    return got == 1;
}

bool place_descriptors(containment& plan) noexcept {
    return arrange_descriptors(plan.control_stream, plan.output, plan.init.status, plan.parent);
}

struct step {
    const char* name;
    bool (*run)(containment& plan) noexcept;
    int milestone = -1;  // that is reached with it
};

constexpr std::array steps{
    // The cgroups have their limits, and hold this process before it does anything.
    step{"cgroups",
         [](containment& plan) noexcept {
             return enter_cgroups(plan.task_lists);
         }},
    // Until its ids are mapped.
    step{"wait for sandboxd", await_go, 0},
    step{"identity",
         [](containment&) noexcept {
             return take_identity();
         }},
    // After the change of user, which clears it.
    step{"parent-death signal",
         [](containment& plan) noexcept {
             return die_with_parent(plan.parent);
         }},
    step{"session",
         [](containment&) noexcept {
             return new_session() && set_host_name();
         }},
    // While the host's /proc is still there.
    step{"namespace limits",
         [](containment&) noexcept {
             return forbid_namespaces();
         }},
    step{"root template",
         [](containment& plan) noexcept {
             return enter_template(plan.root);
         }},
    step{"tmpfs",
         [](containment& plan) noexcept {
             return mount_scratch(plan.tmp_bytes, plan.shm_bytes);
         }},
    // Before the host's /proc goes: the kernel mounts a new one only beside one that is fully
    // visible.
    step{"proc",
         [](containment&) noexcept {
             return mount_proc();
         }},
    step{"code mount",
         [](containment& plan) noexcept {
             return mount_code(plan.code_mount);
         }},
    step{"pivot_root", [](containment&) noexcept { return pivot_into_root(); }, 1},
    // No descriptor that reaches outside is left from here on.
    step{"descriptors", place_descriptors},
    step{"resource limits",
         [](containment& plan) noexcept {
             return set_resource_limits(plan.pids, plan.tmp_bytes);
         }},
    // Needs capabilities of the first user namespace, which the next steps give up.
    step{"nested user namespace",
         [](containment&) noexcept {
             return enter_nested_user_namespace();
         }},
    step{"capabilities",
         [](containment&) noexcept {
             return drop_capabilities();
         }},
    // Needs no_new_privs, and paths as they will be.
    step{"Landlock",
         [](containment& plan) noexcept {
             return restrict_by_landlock(plan.landlock);
         }},
    // Again: entering a user namespace is a change of credentials.
    step{"parent-death signal",
         [](containment&) noexcept {
             return die_with_parent(parent_descriptor);
         }},
    // Seccomp is last of all; init loads it in Python's process and in its own.
};

}  // namespace

void contain(containment& plan) noexcept {
    for (const step& each : steps) {
        if (!each.run(plan)) {
            write_status(plan.init.status, status_kind::failed, errno, each.name);
            ::_exit(1);
        }
        if (each.milestone >= 0) {
            plan.init.reached[static_cast<std::size_t>(each.milestone)] = milestone_now();
        }
    }
    plan.init.reached.back() = milestone_now();
    ::close(parent_descriptor);
    run_init(plan.init);
}

}  // namespace hearth::sandbox
