#include "sandbox/rlimits.h"

#include <algorithm>
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
        rlimit both{};
        if (::getrlimit(resource, &both) != 0) {
            return false;
        }
        // An ordinary user's own limit may be lower, and only root could raise it.
        both.rlim_max = std::min<rlim_t>(both.rlim_max, value);
        both.rlim_cur = both.rlim_max;
        if (::setrlimit(resource, &both) != 0) {
            return false;
        }
    }
    return true;
}

}  // namespace hearth::sandbox
