#include "sandbox/rlimits.h"

#include <array>

#include <sys/resource.h>

namespace hearth::sandbox {

bool set_resource_limits(std::uint64_t pids, std::uint64_t file_bytes) noexcept {
    struct limit {
        __rlimit_resource resource;
        std::uint64_t value;
    };
    const std::array limits{
        limit{RLIMIT_CORE, 0},
        limit{RLIMIT_NOFILE, open_files_max},
        limit{RLIMIT_FSIZE, file_bytes},
        limit{RLIMIT_MEMLOCK, 0},
        limit{RLIMIT_MSGQUEUE, 0},
        limit{RLIMIT_SIGPENDING, pending_signals_max},
        limit{RLIMIT_RTPRIO, 0},
        limit{RLIMIT_NICE, 0},
        // And the init; and one more, so that it is the cgroup which refuses, and counts it.
        limit{RLIMIT_NPROC, pids + 2},
        limit{RLIMIT_STACK, stack_bytes_max},
    };
    for (const auto& [resource, value] : limits) {
        const rlimit both{.rlim_cur = value, .rlim_max = value};
        if (::setrlimit(resource, &both) != 0) {
            return false;
        }
    }
    return true;
}

}  // namespace hearth::sandbox
