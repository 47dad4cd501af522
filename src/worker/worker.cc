#include "worker/worker.h"

#include "base/log.h"

namespace hearth::worker {
namespace {

constexpr seconds exit_wait{10};  // for hearth-sandboxd to clean up

}  // namespace

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
        new worker(home, std::move(sandboxes), std::move(*code), blocking, metrics, options));
}

worker::worker(uring::ring& home, sandbox::client sandboxes, std::unique_ptr<code_cache> code,
               thread_pool& blocking, prometheus::Registry& metrics, const worker_options& options)
    : blocking_(blocking),
      sandboxes_(std::make_unique<sandbox_manager>(home, std::move(sandboxes))),
      code_(std::move(code)),
      instruments_(metrics),
      violations_([this](violation kind) { instruments_.count_violation(kind); }),
      dispatch_(
          std::make_unique<dispatcher>(home, *sandboxes_, *code_, violations_, options.dispatch)) {
    tasks_.spawn(sandboxes_->run());
}

task<result<faas::outcome>> worker::invoke(const faas::invocation& call, deadline until) {
    if (draining_ || sandboxes_->lost().is_set()) {
        instruments_.count_refusal();
        co_return fail(errc::unavailable,
                       draining_ ? "the worker is shutting down" : "the sandbox manager is gone");
    }
    ++active_;
    auto ended = co_await run(call, until);
    if (--active_ == 0) {
        finished_.notify_all();
    }
    if (ended) {
        instruments_.count_end(*ended);
    } else {
        instruments_.count_refusal();
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
    if (call.watcher != nullptr) {
        call.watcher->on_started();
    }
    auto end = co_await sandbox.invoke(call, after(milliseconds(call.target->timeout_ms)));
    if (cold) {
        end.cold_start = true;
        end.init_ms = sandbox.init_ms();
        instruments_.count_cold_start(end.init_ms);
    }
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
    auto ended = co_await end_sandboxd();
    if (!ended) {
        log::error("hearth-sandboxd did not end cleanly", {{"reason", ended.error().message}});
    }
}

// It removes mounts and cgroups, which takes as long as the kernel likes. Meanwhile the loop turns:
// lanes, health checks and the service manager's watchdog live on it.
task<result<int>> worker::end_sandboxd() {
    sandbox_manager& manager = *sandboxes_;
    auto waited =
        co_await blocking_.run([&manager] { return manager.close_and_wait(after(exit_wait)); });
    if (!waited) {
        // The pool is full of other work. Better a loop that stands still than a manager that
        // nobody waited for.
        co_return manager.close_and_wait(after(exit_wait));
    }
    co_return std::move(*waited);
}

void worker::refresh_gauges() {
    instruments_.refresh(*dispatch_, sandboxes_->ahead(), code_->bytes());
}

}  // namespace hearth::worker
