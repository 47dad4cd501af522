#include "worker/worker.h"

#include <prometheus/gauge.h>

#include "base/log.h"

namespace hearth::worker {
namespace {

constexpr seconds exit_wait{10};  // for hearth-sandboxd to clean up

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
        {}, prometheus::Histogram::BucketBoundaries{
                0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                0.25,   0.5,     1,      2.5,   5,      10,    30,   60,    300,  900});
}

}  // namespace

struct worker::instruments {
    explicit instruments(prometheus::Registry& registry)
        : succeeded(counter(registry, "hearth_invocations_total", "Invocations by how they ended",
                            {{"status", "succeeded"}})),
          failed(counter(registry, "hearth_invocations_total", "Invocations by how they ended",
                         {{"status", "failed"}})),
          refused(counter(registry, "hearth_invocations_total", "Invocations by how they ended",
                          {{"status", "refused"}})),
          cold_starts(counter(registry, "hearth_cold_starts_total",
                              "Invocations that waited for their sandbox to start")),
          duration(histogram(registry, "hearth_invocation_duration_seconds",
                             "Time in the sandbox, worker's clock")),
          init(histogram(registry, "hearth_sandbox_init_duration_seconds",
                         "From the request for a sandbox to its handler's import")),
          idle(gauge(registry, "hearth_sandboxes", "Live sandboxes", {{"state", "idle"}})),
          busy(gauge(registry, "hearth_sandboxes", "Live sandboxes", {{"state", "busy"}})),
          parked(gauge(registry, "hearth_sandboxes", "Live sandboxes", {{"state", "parked"}})),
          waiting(gauge(registry, "hearth_invocations_waiting", "Calls without a sandbox")),
          memory(gauge(registry, "hearth_sandbox_memory_reserved_megabytes",
                       "memoryMb of all live sandboxes")),
          code_bytes(gauge(registry, "hearth_code_cache_bytes", "Unpacked code on this host")),
          started(gauge(registry, "hearth_sandboxes_started", "Sandbox starts since the start")),
          start_failures(gauge(registry, "hearth_sandbox_start_failures",
                               "Sandboxes that did not come up since the start")),
          evicted(gauge(registry, "hearth_sandboxes_evicted",
                        "Idle sandboxes ended to make room since the start")) {}

    prometheus::Counter& succeeded;
    prometheus::Counter& failed;
    prometheus::Counter& refused;
    prometheus::Counter& cold_starts;
    prometheus::Histogram& duration;
    prometheus::Histogram& init;
    prometheus::Gauge& idle;
    prometheus::Gauge& busy;
    prometheus::Gauge& parked;
    prometheus::Gauge& waiting;
    prometheus::Gauge& memory;
    prometheus::Gauge& code_bytes;
    prometheus::Gauge& started;
    prometheus::Gauge& start_failures;
    prometheus::Gauge& evicted;
};

result<std::unique_ptr<worker>> worker::create(uring::ring& home, sandbox::client sandboxes,
                                               faas::code_store& store,
                                               faas::archive_intake& archives,
                                               thread_pool& blocking, prometheus::Registry& metrics,
                                               const worker_options& options) {
    auto code = code_cache::create(options.code_folder, store, archives, blocking,
                                   options.code_cache_bytes_max);
    if (!code) {
        return propagate(code);
    }
    return std::unique_ptr<worker>(
        new worker(home, std::move(sandboxes), std::move(*code), metrics, options));
}

worker::worker(uring::ring& home, sandbox::client sandboxes, std::unique_ptr<code_cache> code,
               prometheus::Registry& metrics, const worker_options& options)
    : sandboxes_(std::make_unique<sandbox_manager>(home, std::move(sandboxes))),
      code_(std::move(code)),
      dispatch_(std::make_unique<dispatcher>(home, *sandboxes_, *code_, options.dispatch)),
      instruments_(std::make_shared<instruments>(metrics)) {
    tasks_.spawn(sandboxes_->run());
}

task<result<faas::outcome>> worker::invoke(const faas::invocation& call, deadline until) {
    if (draining_ || sandboxes_->lost().is_set()) {
        instruments_->refused.Increment();
        co_return fail(errc::unavailable,
                       draining_ ? "the worker is shutting down" : "the sandbox manager is gone");
    }
    ++active_;
    auto ended = co_await run(call, until);
    if (--active_ == 0) {
        finished_.notify_all();
    }
    if (!ended) {
        instruments_->refused.Increment();
    } else if (ended->status == faas::invocation_status::succeeded) {
        instruments_->succeeded.Increment();
    } else {
        instruments_->failed.Increment();
    }
    co_return ended;
}

task<result<faas::outcome>> worker::run(const faas::invocation& call, deadline until) {
    auto acquired = co_await dispatch_->acquire(call.target, until);
    if (!acquired) {
        if (acquired.error().outcome) {
            co_return std::move(*acquired.error().outcome);
        }
        co_return std::unexpected(std::move(acquired.error().reason));
    }
    warm_sandbox& sandbox = **acquired;
    const bool cold = sandbox.served == 0;
    auto end = co_await sandbox.invoke(call, after(milliseconds(call.target->timeout_ms)));
    if (cold) {
        end.cold_start = true;
        end.init_ms = sandbox.init_ms();
        instruments_->cold_starts.Increment();
        instruments_->init.Observe(end.init_ms / 1000);
    }
    instruments_->duration.Observe(end.duration_ms / 1000);
    dispatch_->release(sandbox, end.duration_ms);
    co_return end;
}

void worker::retire(std::string_view function_id, std::int64_t current_revision) {
    dispatch_->retire(function_id, current_revision);
}

task<void> worker::drain(deadline grace) {
    draining_ = true;
    while (active_ > 0) {
        const auto waited = co_await finished_.wait(grace);
        if (!waited) {
            log::warning("the grace is over: calls that still run are ended", {{"count", active_}});
            break;
        }
    }
    co_await dispatch_->finish();
    co_await sandboxes_->finish();
    co_await tasks_.join();
    auto ended = sandboxes_->close_and_wait(after(exit_wait));
    if (!ended) {
        log::error("hearth-sandboxd did not end cleanly", {{"reason", ended.error().message}});
    }
}

void worker::refresh_gauges() {
    const auto& statistics = dispatch_->statistics();
    instruments_->idle.Set(static_cast<double>(dispatch_->idle()));
    instruments_->busy.Set(static_cast<double>(dispatch_->busy()));
    instruments_->parked.Set(static_cast<double>(sandboxes_->parked()));
    instruments_->waiting.Set(static_cast<double>(dispatch_->waiting()));
    instruments_->memory.Set(static_cast<double>(dispatch_->memory_used_mb()));
    instruments_->code_bytes.Set(static_cast<double>(code_->bytes()));
    instruments_->started.Set(static_cast<double>(statistics.started));
    instruments_->start_failures.Set(static_cast<double>(statistics.start_failures));
    instruments_->evicted.Set(static_cast<double>(statistics.evicted));
}

}  // namespace hearth::worker
