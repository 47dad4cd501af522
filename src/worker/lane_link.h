#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "coro/event.h"
#include "coro/scope.h"
#include "faas/ports.h"
#include "lane/connection.h"
#include "lane/incoming_body.h"
#include "worker/lane_host.h"
#include "worker/lane_recorder.h"

namespace hearth::worker {

// What one worker's lanes have in common, whichever of them is connected.
struct lane_surroundings {
    faas::invoker& invoker;
    lane_host& host;
    hearth::lane::byte_budget& events;  // that arrive, beyond what comes unasked
    scope& calls;                       // outlives the lanes: what has started goes on without one
    const bool& draining;
    wait_list& answered;      // told when no call is left on a lane
    lane_recorder* recorder;  // of calls that have lost their lane; null: their outcomes go with it
};

// The worker's end of one lane. Ring thread only.
class lane_link final : public lane::connection {
public:
    lane_link(lane_surroundings around, std::unique_ptr<net::stream> link,
              lane::connection_options options);
    ~lane_link();

    // Says hello, then serves until the lane ends. Calls that have not started are withdrawn then.
    task<error> run(std::string token, std::string worker_id);
    // Tells what has changed of credits; a worker that drains has none.
    void tell_credit();

    [[nodiscard]] bool greeted() const noexcept { return greeted_.is_set(); }
    [[nodiscard]] std::size_t calls() const noexcept { return carried_.size(); }
    // What the controller said when it refused this lane or ended it.
    [[nodiscard]] std::optional<lane::goodbye_reason> farewell() const noexcept {
        return farewell_;
    }

private:
    struct carried;

    result<> handle_frame(const lane::frame_header& header, std::string_view payload) override;
    result<> handle_data(std::uint64_t stream, std::string_view piece) override;
    void on_over() noexcept override {}

    result<> on_welcome(std::string_view payload);
    result<> on_goodbye(std::string_view payload);
    result<> on_define(std::string_view payload);
    result<> on_retire(std::string_view payload);
    result<> on_invoke(std::uint64_t stream, std::string_view payload);
    result<> on_cancel(std::uint64_t stream);

    void begin(const std::shared_ptr<carried>& call);
    static task<void> run_call(lane_surroundings around, std::shared_ptr<carried> call);
    static task<void> invoke(faas::invoker& invoker, carried& call);
    static faas::invocation_record record_of(carried& call);
    void answer(carried& call);
    void answer_outcome(carried& call, faas::outcome end);
    void close_stream(std::uint64_t stream);
    task<void> tell_regularly();
    void tell_warm();

    lane_surroundings around_;
    event greeted_;
    milliseconds report_interval_{0};
    std::optional<std::uint32_t> told_window_;
    faas::revision_map<std::size_t> told_warm_;
    std::vector<std::shared_ptr<const faas::function>> defined_;
    std::unordered_map<std::uint64_t, std::shared_ptr<carried>> carried_;
    std::uint64_t last_stream_ = 0;
    std::optional<lane::goodbye_reason> farewell_;
};

}  // namespace hearth::worker
