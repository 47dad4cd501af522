#include "sandbox_options.h"

#include <algorithm>

#include <sys/sysinfo.h>

namespace hearth {
namespace {

// A parked sandbox costs about 1.5 MB, so all of them some 1.5 % of the budget. More than 192 would
// crowd the slots. One that executed Python, as it does unless all share a zygote, costs several
// times that: of those there is the least number.
constexpr std::int64_t budget_mb_per_parked = 96;
constexpr std::int64_t parked_least = 4;
constexpr std::int64_t parked_most = 192;

std::int64_t host_memory_mb() {
    struct sysinfo info{};
    ::sysinfo(&info);
    return static_cast<std::int64_t>(info.totalram * info.mem_unit >> 20);
}

}  // namespace

void complete_sandbox_options(sandbox_options& options) {
    if (options.memory_budget_mb == 0) {
        options.memory_budget_mb = std::max(host_memory_mb() * 3 / 4, memory_budget_mb_min);
    }
    if (!options.parked) {
        const bool forked = options.zygote == sandbox::zygote_mode::shared;
        options.parked = static_cast<std::uint32_t>(
            std::clamp(forked ? options.memory_budget_mb / budget_mb_per_parked : parked_least,
                       parked_least, parked_most));
    }
}

worker::dispatcher_options dispatcher_options_of(const sandbox_options& options) {
    return {.memory_budget_mb = options.memory_budget_mb,
            .concurrency_max = options.concurrency_max,
            .idle_ttl = options.idle_ttl,
            .freeze_after = options.freeze_after,
            .recycling = {.calls = options.recycle_calls, .age = options.recycle_age},
            .cpu_floor_millis = options.cpu_floor_millis};
}

}  // namespace hearth
