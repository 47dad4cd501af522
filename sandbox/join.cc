#include "sandbox/join.h"

#include <array>
#include <cerrno>

#include <unistd.h>

#include "sandbox/capabilities.h"
#include "sandbox/descriptors.h"
#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/rlimits.h"
#include "sandbox/status_pipe.h"

namespace hearth::sandbox {
namespace {

bool join_user(joining& plan) noexcept {
    return join_user_namespace(plan.init);
}

bool place_descriptors(joining& plan) noexcept {
    return arrange_descriptors(plan.control_stream, plan.output, plan.status);
}

bool limit_resources(joining& plan) noexcept {
    return set_resource_limits(plan.pids, plan.file_bytes_max);
}

struct step {
    const char* name;
    bool (*run)(joining& plan) noexcept;
    int milestone = -1;  // that is reached with it
};

// clang-format off
constexpr std::array steps{
    // Mounts, network, ipc, host name and cgroup view, with the root that init pivoted into.
    step{"join namespaces", [](joining& plan) noexcept { return join_namespaces(plan.init); }},
    // The nested one that init ended in. From here on the process owns no mount and no network.
    step{"join user namespace", join_user, 1},
    step{"identity", [](joining&) noexcept { return take_user(); }},
    step{"session", [](joining&) noexcept { return new_session(); }},
    // Closes init's pidfd and all that the zygote had open.
    step{"descriptors", place_descriptors},
    step{"resource limits", limit_resources},
    step{"capabilities", [](joining&) noexcept { return drop_capabilities(); }},
    // Needs no_new_privs, and paths as they will be.
    step{"Landlock", [](joining& plan) noexcept { return restrict_by_landlock(plan.landlock); }},
    // After the last change of credentials, and as execve would leave it.
    step{"dumpable", [](joining&) noexcept { return make_dumpable(); }},
    step{"seccomp", [](joining& plan) noexcept { return load_filter(*plan.filter); }},
};
// clang-format on

}  // namespace

void join(joining& plan) noexcept {
    milestones reached{milestone_now()};
    for (const step& each : steps) {
        if (!each.run(plan)) {
            write_status(plan.status, status_kind::failed, errno, each.name);
            ::_exit(1);
        }
        if (each.milestone >= 0) {
            reached[static_cast<std::size_t>(each.milestone)] = milestone_now();
        }
    }
    reached.back() = milestone_now();
    write_status(plan.status, status_kind::sealed, 0, {}, reached);
    ::close(plan.status);
}

}  // namespace hearth::sandbox
