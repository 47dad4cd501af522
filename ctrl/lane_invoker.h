#pragma once

#include <cstdint>

#include "ctrl/lane_hub.h"
#include "faas/ports.h"

namespace hearth::ctrl {

struct lane_invoker_options {
    // That a call waits for a credit; then it goes the other way, which a fleet can grow by.
    milliseconds credit_wait_max{1'000};
    // The other way leads to the same worker: what it refuses for want of room, or because it ends,
    // it is not asked again.
    bool same_worker_otherwise = false;
};

struct lane_invoker_statistics {
    std::uint64_t answered = 0;   // over a lane
    std::uint64_t resent = 0;     // to another worker: refused, or the lane was lost before
    std::uint64_t lost = 0;       // with a lane, after they had started
    std::uint64_t left = 0;       // at the controller's end, to their workers
    std::uint64_t fell_back = 0;  // no lane, no credit in time, or the queue was full
};

// Runs calls over the lanes of workers; what no lane takes goes to another invoker (the queue). A
// call whose lane is lost goes to another worker where its function had not started; where it had,
// it ends as failure_kind::worker_lost, because nobody knows what it has done. Home ring only.
class lane_invoker final : public faas::invoker {
public:
    // Workers that one call is sent to. Then it goes the other way: it may be what ends them.
    static constexpr int sends_max = 3;
    // Beyond its deadline, for the worker's own answer to it.
    static constexpr seconds answer_slack{10};
    // Beyond timeoutMs: the worker ends a call by itself, some time after that.
    static constexpr seconds end_slack{60};

    // Both outlive it.
    lane_invoker(lane_hub& hub, faas::invoker& otherwise, lane_invoker_options options = {})
        : hub_(hub), otherwise_(otherwise), options_(options) {}

    task<result<faas::outcome>> invoke(const faas::invocation& call, deadline until) override;
    void retire(std::string_view function_id, std::int64_t current_revision) override;

    // The controller ends, its hub next: calls that run then are not lost. Their workers record
    // them (worker/lane_recorder.h), so that they end here as open outcomes that somebody else
    // records.
    void leave_calls() noexcept { leaving_ = true; }

    [[nodiscard]] const lane_invoker_statistics& statistics() const noexcept { return statistics_; }

private:
    enum class way : std::uint8_t { answered, again, otherwise };
    struct attempt;

    task<way> try_lanes(attempt& mine);
    task<result<>> wait_for_credit(lane_call& call, deadline until);
    task<result<>> wait_for_end(lane_call& call);
    way judge(attempt& mine);
    [[nodiscard]] bool is_final(const error& refusal) const noexcept;

    lane_hub& hub_;
    faas::invoker& otherwise_;
    lane_invoker_options options_;
    bool leaving_ = false;
    lane_invoker_statistics statistics_;
};

}  // namespace hearth::ctrl
