#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "coro/scope.h"
#include "ctrl/api_key.h"
#include "ctrl/lane_scheduler.h"
#include "ctrl/lane_session.h"
#include "faas/worker_report.h"
#include "lane/byte_budget.h"
#include "net/listener.h"
#include "net/tls.h"

namespace hearth::ctrl {

struct lane_hub_options {
    std::string token;  // WORKER_TOKEN
    lane_scheduler_options queues;
    milliseconds report_interval{5'000};  // that workers are told to keep; also keeps lanes alive
    // Of results that arrive, beyond what each may send unasked.
    std::size_t result_bytes_max = 256u << 20;
    std::size_t lanes_max = 1'000;
    hearth::lane::connection_options connection;
};

struct lane_hub_statistics {
    std::uint64_t began = 0;    // lanes that were greeted
    std::uint64_t refused = 0;  // that were not: wrong token, version, silence, or too many
    std::uint64_t sent = 0;     // calls
    std::uint64_t started = 0;  // of these, that their worker said had started
};

// The controller's side of all lanes: takes streams of workers, checks who they are, and hands
// waiting calls to the lanes that have credits (lane_scheduler). Lanes live in its own scope. Home
// ring only.
class lane_hub {
public:
    static constexpr std::size_t strangers_max =
        64;  // streams without a hello yet; more are closed
    static constexpr seconds handshake_wait_max{10};

    // `on_report` gets every report of a worker, `on_left` its id when its lane has ended.
    lane_hub(lane_hub_options options, std::function<void(faas::worker_report)> on_report,
             std::function<void(const std::string&)> on_left);
    ~lane_hub();

    // Takes lanes until finish() or a stop. `tls` may be null. A failure to accept is logged.
    task<void> serve(net::listener& from, std::shared_ptr<const net::tls_context> tls);
    // One lane over any stream.
    void take(std::unique_ptr<net::stream> link);
    // Says goodbye to every worker, and waits until the lanes have ended. Calls on them are lost.
    task<void> finish();

    // Puts it in line, and in motion when there is a credit. False when the queues are full.
    [[nodiscard]] bool enqueue(const std::shared_ptr<lane_call>& call);
    void withdraw(lane_call& call);
    // Sandboxes of older revisions end, on every worker.
    void retire(std::string_view function_id, std::int64_t current_revision);

    [[nodiscard]] lane_scheduler& scheduler() noexcept { return scheduler_; }
    [[nodiscard]] std::size_t lanes() const noexcept { return by_worker_.size(); }
    [[nodiscard]] const lane_hub_statistics& statistics() const noexcept { return statistics_; }

private:
    friend class lane_session;

    // For sessions.
    [[nodiscard]] bool admits(std::string_view token) const { return key_.matches(token); }
    [[nodiscard]] bool joined(lane_session& fresh);
    void left(lane_session& gone);
    void reported(faas::worker_report report) { on_report_(std::move(report)); }
    void dispatch();
    void note_started() noexcept { ++statistics_.started; }
    [[nodiscard]] hearth::lane::byte_budget& budget() noexcept { return budget_; }
    [[nodiscard]] std::size_t lanes_max() const noexcept { return options_.lanes_max; }
    [[nodiscard]] std::uint32_t report_interval_ms() const noexcept {
        return static_cast<std::uint32_t>(options_.report_interval.count());
    }

    task<void> greet(std::unique_ptr<net::stream> link,
                     std::shared_ptr<const net::tls_context> tls);
    task<void> run_session(std::unique_ptr<net::stream> link);

    lane_hub_options options_;
    std::function<void(faas::worker_report)> on_report_;
    std::function<void(const std::string&)> on_left_;
    api_key key_;
    lane_scheduler scheduler_;
    hearth::lane::byte_budget budget_;
    std::unordered_map<std::string, lane_session*> by_worker_;
    std::unordered_map<lane_session*, std::shared_ptr<lane_session>> sessions_;
    std::size_t strangers_ = 0;
    bool finishing_ = false;
    lane_hub_statistics statistics_;
    scope accepting_;
    scope tasks_;
};

}  // namespace hearth::ctrl
