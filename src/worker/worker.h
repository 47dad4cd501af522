#pragma once

#include <memory>

#include <prometheus/registry.h>

#include "coro/thread_pool.h"
#include "faas/ports.h"
#include "worker/dispatcher.h"
#include "worker/instruments.h"

namespace hearth::worker {

struct worker_options {
    dispatcher_options dispatch;
    std::string code_folder;  // private, emptied at start
    std::size_t code_cache_bytes_max = code_cache::bytes_max_default;
};

// Runs invocations: the one place where the synchronous path and the job path meet. Ring thread
// only.
class worker final : public faas::invoker {
public:
    // All but `sandboxes` outlive it.
    [[nodiscard]] static result<std::unique_ptr<worker>> create(
        uring::ring& home, sandbox::client sandboxes, faas::code_store& store,
        faas::archive_intake& archives, thread_pool& blocking, prometheus::Registry& metrics,
        const worker_options& options);

    task<result<faas::outcome>> invoke(const faas::invocation& call, deadline until) override;
    void retire(std::string_view function_id, std::int64_t current_revision) override;

    // Refuses new calls from now on; waits until `grace` for those accepted, kills what still runs,
    // and ends every sandbox and hearth-sandboxd.
    task<void> drain(deadline grace);
    void refuse_new() noexcept { draining_ = true; }

    [[nodiscard]] const dispatcher& dispatch() const noexcept { return *dispatch_; }
    // Set when hearth-sandboxd died: nothing can run any more.
    [[nodiscard]] event& lost() noexcept { return sandboxes_->lost(); }
    // Brings the gauges up to date; before /metrics is written.
    void refresh_gauges();

private:
    worker(uring::ring& home, sandbox::client sandboxes, std::unique_ptr<code_cache> code,
           thread_pool& blocking, prometheus::Registry& metrics, const worker_options& options);
    task<result<faas::outcome>> run(const faas::invocation& call, deadline until);
    task<result<int>> end_sandboxd();

    thread_pool& blocking_;
    scope tasks_;
    std::unique_ptr<sandbox_manager> sandboxes_;
    std::unique_ptr<code_cache> code_;
    instruments instruments_;
    violations violations_;
    std::unique_ptr<dispatcher> dispatch_;
    std::size_t active_ = 0;
    wait_list finished_;
    bool draining_ = false;
};

}  // namespace hearth::worker
