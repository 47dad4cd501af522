#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "coro/event.h"
#include "coro/scope.h"
#include "faas/ports.h"

namespace hearth::ctrl {

struct calls_statistics {
    std::uint64_t records_lost = 0;  // outcomes of synchronous calls that could not be recorded
    std::uint64_t abandoned = 0;     // calls whose caller's deadline passed first
};

// Synchronous and asynchronous calls. A synchronous call belongs to this object, not to the
// connection that asked: when the caller's deadline passes, it goes on, its status can be asked
// for, and its outcome is recorded. Home ring only.
class calls {
public:
    static constexpr std::size_t calls_max = 10'000;  // at once, recording included

    calls(faas::invoker& invoker, faas::invocation_log& log, faas::job_queue& queue)
        : invoker_(invoker), log_(log), queue_(queue) {}

    // The outcome, recorded by this object unless whoever ran the call does it
    // (outcome::recorded); errc::deadline_exceeded when `until` passes first, errc::limit_exceeded
    // or errc::unavailable when the call was not taken.
    task<result<faas::outcome>> run(faas::invocation call, deadline until);

    // Durable when it returns.
    task<result<>> enqueue(const faas::invocation& call, deadline until);

    // errc::not_found.
    task<result<faas::invocation_record>> status(const std::string& job_id, deadline until);

    // Waits until every call has ended and is recorded.
    task<void> finish() { return running_.join(); }
    [[nodiscard]] const calls_statistics& statistics() const noexcept { return statistics_; }
    [[nodiscard]] std::size_t live() const noexcept { return running_.size(); }

private:
    struct live_call;

    task<void> execute(std::shared_ptr<live_call> live);
    task<void> record(const live_call& live);
    task<void> promise_outcome(const live_call& live);
    static faas::invocation_record running_record(const live_call& live);

    faas::invoker& invoker_;
    faas::invocation_log& log_;
    faas::job_queue& queue_;
    // Calls that their callers know of, by an answer or a passed deadline, and the log does not
    // yet.
    std::unordered_map<std::string, std::shared_ptr<live_call>> unrecorded_;
    calls_statistics statistics_;
    scope running_{nullptr, calls_max};
};

}  // namespace hearth::ctrl
