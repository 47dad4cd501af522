#include "worker/instruments.h"

namespace hearth::worker {
namespace {

prometheus::Counter& counter(prometheus::Registry& registry, const char* name, const char* help,
                             const prometheus::Labels& labels = {}) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Gauge& gauge(prometheus::Registry& registry, const char* name, const char* help,
                         const prometheus::Labels& labels = {}) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
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

prometheus::Gauge& sandboxes(prometheus::Registry& registry, const char* state) {
    return gauge(registry, "hearth_sandboxes", "Live sandboxes", {{"state", state}});
}

}  // namespace

instruments::instruments(prometheus::Registry& registry)
    : succeeded_(invocations(registry, "succeeded")),
      failed_(invocations(registry, "failed")),
      refused_(invocations(registry, "refused")),
      cold_starts_(counter(registry, "hearth_cold_starts_total",
                           "Invocations that waited for their sandbox to start")),
      duration_(histogram(registry, "hearth_invocation_duration_seconds",
                          "Time in the sandbox, worker's clock")),
      init_(histogram(registry, "hearth_sandbox_init_duration_seconds",
                      "From the request for a sandbox to its handler's import")),
      idle_(sandboxes(registry, "idle")),
      frozen_(sandboxes(registry, "frozen")),
      busy_(sandboxes(registry, "busy")),
      parked_(sandboxes(registry, "parked")),
      shells_(sandboxes(registry, "shell")),
      zygotes_(gauge(registry, "hearth_zygotes", "Processes that Pythons are forked from")),
      waiting_(gauge(registry, "hearth_invocations_waiting", "Calls without a sandbox")),
      memory_(gauge(registry, "hearth_sandbox_memory_reserved_megabytes",
                    "memoryMb of all live sandboxes")),
      code_bytes_(gauge(registry, "hearth_code_cache_bytes", "Unpacked code on this host")),
      started_(gauge(registry, "hearth_sandboxes_started", "Sandbox starts since the start")),
      start_failures_(gauge(registry, "hearth_sandbox_start_failures",
                            "Sandboxes that did not come up since the start")),
      crash_looping_(gauge(registry, "hearth_functions_crash_looping",
                           "Functions whose next sandbox waits, since they keep failing to start")),
      crash_loop_refusals_(gauge(registry, "hearth_crash_loop_refusals",
                                 "Calls that were not tried for that since the start")),
      evicted_(gauge(registry, "hearth_sandboxes_evicted",
                     "Idle sandboxes ended to make room since the start")),
      expired_(gauge(registry, "hearth_sandboxes_expired",
                     "Sandboxes ended for being idle too long since the start")),
      discarded_(gauge(registry, "hearth_sandboxes_discarded",
                       "Sandboxes ended for what happened in them since the start")),
      retired_(gauge(registry, "hearth_sandboxes_retired",
                     "Sandboxes of an old revision ended since the start")),
      recycled_(gauge(registry, "hearth_sandboxes_recycled",
                      "Sandboxes ended for age, calls or growth since the start")),
      strays_(gauge(registry, "hearth_sandboxes_with_strays",
                    "Sandboxes ended for processes that a call left since the start")),
      freezes_(gauge(registry, "hearth_sandbox_freezes", "Sandboxes frozen since the start")),
      thaws_(gauge(registry, "hearth_sandbox_thaws", "Sandboxes thawed since the start")) {
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
    const auto set = [](prometheus::Gauge& which, auto value) {
        which.Set(static_cast<double>(value));
    };
    const auto& statistics = dispatch.statistics();
    set(idle_, dispatch.idle());
    set(frozen_, dispatch.frozen());
    set(busy_, dispatch.busy());
    set(parked_, ahead.parked);
    set(shells_, ahead.shells);
    set(zygotes_, ahead.zygotes);
    set(waiting_, dispatch.waiting());
    set(memory_, dispatch.memory_used_mb());
    set(code_bytes_, code_bytes);
    set(started_, statistics.started);
    set(start_failures_, statistics.start_failures);
    set(crash_looping_, dispatch.crash_looping());
    set(crash_loop_refusals_, statistics.crash_loop_refusals);
    set(evicted_, statistics.evicted);
    set(expired_, statistics.expired);
    set(discarded_, statistics.discarded);
    set(retired_, statistics.retired);
    set(recycled_, statistics.recycled);
    set(strays_, statistics.strays);
    set(freezes_, statistics.frozen);
    set(thaws_, statistics.thawed);
}

}  // namespace hearth::worker
