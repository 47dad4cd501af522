#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "sandbox/client.h"
#include "sandbox/protocol.h"
#include "worker/dispatcher.h"

namespace hearth {

// How a program that runs functions makes and keeps its sandboxes (docs/operations.md).
struct sandbox_options {
    std::int64_t memory_budget_mb = 0;  // 0: three quarters of the host's
    std::size_t concurrency_max = 16;
    seconds idle_ttl{600};
    seconds freeze_after = worker::freeze_after_default;  // 0: never
    std::uint64_t recycle_calls = worker::recycling_limits().calls;
    seconds recycle_age = worker::recycling_limits().age;
    std::uint32_t cpu_floor_millis = worker::cpu_floor_millis_default;
    bool allow_no_limits = false;
    std::optional<std::uint32_t> parked;  // none: as many as the memory budget suggests
    std::uint32_t shells = sandbox::shells_default;
    std::uint32_t slots = sandbox::slots_default;
    sandbox::zygote_mode zygote = sandbox::zygote_mode::shared;
    std::uint32_t zygote_forks = sandbox::zygote_forks_default;
    std::uint32_t zygote_minutes = sandbox::zygote_minutes_default;
    std::uint32_t zygote_spares = sandbox::zygote_spares_default;
    std::uint32_t zygote_functions = sandbox::zygote_functions_default;
    seconds zygote_idle{sandbox::zygote_idle_seconds_default};
    std::string zygote_modules;
    std::string numpy_modules = sandbox::numpy_modules_default;
};

inline constexpr std::int64_t memory_budget_mb_min = 128;

// Fills in what depends on the host: memory_budget_mb and parked.
void complete_sandbox_options(sandbox_options& options);

[[nodiscard]] worker::dispatcher_options dispatcher_options_of(const sandbox_options& options);

}  // namespace hearth
