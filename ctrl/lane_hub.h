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
#include "ctrl/lane_strangers.h"
#include "ctrl/log_throttle.h"
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
    milliseconds hello_wait{2'000};  // a stream without a word for so long is closed
    hearth::lane::connection_options connection;
};

struct lane_hub_statistics {
    std::uint64_t began = 0;        // lanes that were greeted
    std::uint64_t refused = 0;      // that were not: wrong token, version, silence, or too many
    std::uint64_t crowded_out = 0;  // of these, that newer ones took the places of
    std::uint64_t sent = 0;         // calls
    std::uint64_t started = 0;      // of these, that their worker said had started
};

// The controller's side of all lanes: takes streams of workers, checks who they are, and hands
// waiting calls to the lanes that have credits (lane_scheduler). Lanes live in its own scope. Home
// ring only.
class lane_hub {
public:
    static constexpr seconds handshake_wait_max{5};  // of TLS, before the wait for a hello

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
    // Streams that have not said hello yet (lane_strangers has their limits).
    [[nodiscard]] std::size_t strangers() const noexcept { return strangers_.size(); }
    [[nodiscard]] lane_hub_statistics statistics() const noexcept;

private:
    friend class lane_session;

    // For sessions.
    [[nodiscard]] bool admits(std::string_view token) const { return key_.matches(token); }
    [[nodiscard]] bool joined(lane_session& fresh);
    void left(lane_session& gone);
    void reported(faas::worker_report report) { on_report_(std::move(report)); }
    void dispatch();
    [[nodiscard]] milliseconds hello_wait() const noexcept { return options_.hello_wait; }
    // A line in the log, unless there were many of late.
    void note_refusal(std::string_view peer, std::string_view reason);
    void note_started() noexcept { ++statistics_.started; }
    [[nodiscard]] hearth::lane::byte_budget& budget() noexcept { return budget_; }
    [[nodiscard]] std::size_t lanes_max() const noexcept { return options_.lanes_max; }
    [[nodiscard]] std::uint32_t report_interval_ms() const noexcept {
        return static_cast<std::uint32_t>(options_.report_interval.count());
    }

    using guest = std::shared_ptr<lane_strangers::stranger>;
    struct hosted {
        std::shared_ptr<lane_session> session;
        guest stranger;
    };

    [[nodiscard]] guest admit(const net::stream& link);
    task<void> greet(std::unique_ptr<net::stream> link, std::shared_ptr<const net::tls_context> tls,
                     guest stranger);
    task<void> run_session(std::unique_ptr<net::stream> link, guest stranger);

    lane_hub_options options_;
    std::function<void(faas::worker_report)> on_report_;
    std::function<void(const std::string&)> on_left_;
    api_key key_;
    lane_scheduler scheduler_;
    hearth::lane::byte_budget budget_;
    std::unordered_map<std::string, lane_session*> by_worker_;
    std::unordered_map<lane_session*, hosted> sessions_;
    lane_strangers strangers_;
    log_throttle refusals_;
    bool finishing_ = false;
    lane_hub_statistics statistics_;
    scope accepting_;
    scope tasks_;
};

}  // namespace hearth::ctrl
