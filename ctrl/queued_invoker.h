#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "coro/event.h"
#include "faas/ports.h"

namespace hearth::ctrl {

struct queued_invoker_options {
    // Between looks into the log while the result bus is down; doubled with each look.
    milliseconds look_min{100};
    milliseconds look_max{1'000};
    // And while it is up: an outcome that was announced as the bus was lost is found so late.
    milliseconds look_anyway{10'000};
};

struct queued_invoker_statistics {
    std::uint64_t calls = 0;
    std::uint64_t looks = 0;         // into the log, for want of news
    std::uint64_t found_by_log = 0;  // outcomes that came that way
    std::uint64_t given_up = 0;      // callers' deadlines that passed first
};

// Runs synchronous calls by the queue: the call becomes a job that carries its caller's deadline,
// any worker of the fleet takes it, and its outcome comes back over the result bus, or out of the
// invocation log where the bus is down. Any controller that has no worker at hand for a call can
// hand it to this one.
//
// The worker records the outcome (outcome::recorded). When `until` passes first, the call goes on
// if it had begun, and does not begin any more if not; either way its record says how it ended.
// Home ring only.
class queued_invoker final : public faas::invoker {
public:
    using retire_function =
        std::function<void(std::string_view function_id, std::int64_t revision)>;

    // The ports outlive it. `retired` hears of each retire(), to tell workers.
    queued_invoker(faas::job_queue& queue, faas::invocation_log& log, faas::result_bus& results,
                   retire_function retired, queued_invoker_options options = {});

    task<result<faas::outcome>> invoke(const faas::invocation& call, deadline until) override;
    void retire(std::string_view function_id, std::int64_t current_revision) override {
        retired_(function_id, current_revision);
    }

    // At the end of a drain: from now on nobody waits any more, as if every deadline had passed.
    void stop_waiting() { closing_.set(); }

    [[nodiscard]] const queued_invoker_statistics& statistics() const noexcept {
        return statistics_;
    }

private:
    task<result<faas::outcome>> outcome_of(const std::string& job_id, deadline until);
    task<std::optional<faas::invocation_record>> look(const std::string& job_id, deadline until);

    faas::job_queue& queue_;
    faas::invocation_log& log_;
    faas::result_bus& results_;
    retire_function retired_;
    queued_invoker_options options_;
    queued_invoker_statistics statistics_;
    event closing_;
};

}  // namespace hearth::ctrl
