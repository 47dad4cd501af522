#include "worker/instruments.h"

#include "base/gauges.h"

namespace hearth::worker {
namespace {

prometheus::Counter& counter(prometheus::Registry& registry, const char* name, const char* help,
                             const prometheus::Labels& labels = {}) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Histogram& histogram(prometheus::Registry& registry, const char* name,
                                 const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(
        // A warm call of a small handler takes some tens of microseconds.
        {}, prometheus::Histogram::BucketBoundaries{
                0.00001, 0.00002, 0.00003, 0.00005, 0.00007, 0.0001, 0.00025, 0.0005, 0.001,
                0.0025,  0.005,   0.01,    0.025,   0.05,    0.1,    0.25,    0.5,    1,
                2.5,     5,       10,      30,      60,      300,    900});
}

prometheus::Counter& invocations(prometheus::Registry& registry, const char* status) {
    return counter(registry, "hearth_invocations_total", "Invocations by how they ended",
                   {{"status", status}});
}

}  // namespace

instruments::instruments(prometheus::Registry& registry)
    : registry_(registry),
      succeeded_(invocations(registry, "succeeded")),
      failed_(invocations(registry, "failed")),
      refused_(invocations(registry, "refused")),
      cold_starts_(counter(registry, "hearth_cold_starts_total",
                           "Invocations that waited for their sandbox to start")),
      duration_(histogram(registry, "hearth_invocation_duration_seconds",
                          "Time in the sandbox, worker's clock")),
      init_(histogram(registry, "hearth_sandbox_init_duration_seconds",
                      "From the request for a sandbox to its handler's import")) {
    for (std::size_t i = 0; i < failures_.size(); ++i) {
        failures_[i] = &counter(
            registry, "hearth_invocation_failures_total", "Failed invocations by their reason",
            {{"reason", std::string(to_string(static_cast<faas::failure_kind>(i)))}});
    }
    for (std::size_t i = 0; i < violations_.size(); ++i) {
        violations_[i] =
            &counter(registry, "hearth_sandbox_violations_total",
                     "What functions did that they may not, or tried until a limit held them",
                     {{"kind", std::string(to_string(static_cast<violation>(i)))}});
    }
}

void instruments::count_end(const faas::outcome& end) {
    if (end.status == faas::invocation_status::succeeded) {
        succeeded_.Increment();
    } else {
        failed_.Increment();
        failures_[static_cast<std::size_t>(end.failure)]->Increment();
    }
    if (end.duration_ms > 0) {
        duration_.Observe(end.duration_ms / 1000);
    }
}

void instruments::count_cold_start(double init_ms) {
    cold_starts_.Increment();
    init_.Observe(init_ms / 1000);
}

void instruments::refresh(const dispatcher& dispatch, const made_ahead& ahead,
                          std::size_t code_bytes) {
    gauges out(registry_);
    const auto& statistics = dispatch.statistics();
    out.set_each("hearth_sandboxes", "Live sandboxes", "state",
                 {{"idle", dispatch.idle()},
                  {"frozen", dispatch.frozen()},
                  {"busy", dispatch.busy()},
                  {"parked", ahead.parked},
                  {"shell", ahead.shells}});
    out.set("hearth_zygotes", "Processes that Pythons are forked from", ahead.zygotes);
    out.set("hearth_invocations_waiting", "Calls without a sandbox", dispatch.waiting());
    out.set("hearth_sandbox_memory_reserved_megabytes", "memoryMb of all live sandboxes",
            dispatch.memory_used_mb());
    out.set("hearth_code_cache_bytes", "Unpacked code on this host", code_bytes);
    out.set("hearth_sandboxes_started", "Sandbox starts since the start", statistics.started);
    out.set("hearth_sandbox_start_failures", "Sandboxes that did not come up since the start",
            statistics.start_failures);
    out.set("hearth_functions_crash_looping",
            "Functions whose next sandbox waits, since they keep failing to start",
            dispatch.crash_looping());
    out.set("hearth_crash_loop_refusals", "Calls that were not tried for that since the start",
            statistics.crash_loop_refusals);
    out.set("hearth_sandboxes_evicted", "Idle sandboxes ended to make room since the start",
            statistics.evicted);
    out.set("hearth_sandboxes_expired", "Sandboxes ended for being idle too long since the start",
            statistics.expired);
    out.set("hearth_sandboxes_discarded",
            "Sandboxes ended for what happened in them since the start", statistics.discarded);
    out.set("hearth_sandboxes_retired", "Sandboxes of an old revision ended since the start",
            statistics.retired);
    out.set("hearth_sandboxes_recycled", "Sandboxes ended for age, calls or growth since the start",
            statistics.recycled);
    out.set("hearth_sandboxes_with_strays",
            "Sandboxes ended for processes that a call left since the start", statistics.strays);
    out.set("hearth_sandbox_freezes", "Sandboxes frozen since the start", statistics.frozen);
    out.set("hearth_sandbox_thaws", "Sandboxes thawed since the start", statistics.thawed);
}

}  // namespace hearth::worker
