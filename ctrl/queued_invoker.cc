#include "ctrl/queued_invoker.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "coro/wait_list.h"
#include "coro/when_any.h"
#include "ctrl/submission.h"

namespace hearth::ctrl {
namespace {

constexpr seconds submit_wait{15};
constexpr seconds look_wait{5};
// A result bus that refuses at once must not make this a busy loop.
constexpr milliseconds refused_pause{50};

faas::outcome outcome_from(faas::invocation_record record) {
    faas::outcome end = std::move(record.end);
    end.status = record.status;
    end.recorded = true;
    return end;
}

epoch_ms on_the_wall(deadline until) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now()).count();
    return wall_clock_ms() + left;
}

}  // namespace

queued_invoker::queued_invoker(faas::job_queue& queue, faas::invocation_log& log,
                               faas::result_bus& results, retire_function retired,
                               queued_invoker_options options)
    : queue_(queue),
      log_(log),
      results_(results),
      retired_(std::move(retired)),
      options_(options) {}

task<result<faas::outcome>> queued_invoker::invoke(const faas::invocation& call, deadline until) {
    ++statistics_.calls;
    auto submitted = co_await submit(log_, queue_, call, on_the_wall(until),
                                     std::min(until, after(submit_wait)));
    if (!submitted) {
        co_return propagate(submitted);
    }
    auto end = co_await outcome_of(call.job_id, until);
    if (!end && end.error().code == errc::deadline_exceeded) {
        ++statistics_.given_up;
        faas::outcome open;
        open.status = faas::invocation_status::queued;
        open.recorded = true;
        co_return open;
    }
    co_return end;
}

task<result<faas::outcome>> queued_invoker::outcome_of(const std::string& job_id, deadline until) {
    milliseconds pause = options_.look_min;
    milliseconds bus_pause{0};
    for (;;) {
        const bool up = results_.is_up();
        const milliseconds patience = up ? options_.look_anyway : pause;
        pause = up ? options_.look_min : std::min(pause * 2, options_.look_max);
        const deadline next_look = std::min(until, after(patience));
        auto first = co_await when_any(results_.wait(job_id, next_look), closing_.wait(next_look));
        if (closing_.is_set() && first.index() == 1) {
            co_return fail(errc::deadline_exceeded, "the controller is shutting down");
        }
        // Both end at the next look; whichever comes first then, there was no news.
        auto heard =
            first.index() == 0
                ? std::get<0>(std::move(first))
                : result<faas::invocation_record>(fail(errc::deadline_exceeded, "no news"));
        if (heard) {
            co_return outcome_from(std::move(*heard));
        }
        if (heard.error().code == errc::cancelled) {
            co_return propagate(heard);
        }
        if (auto found = co_await look(job_id, until)) {
            ++statistics_.found_by_log;
            co_return outcome_from(std::move(*found));
        }
        if (steady_clock::now() >= until) {
            co_return fail(errc::deadline_exceeded, "the call is still in the queue or running");
        }
        if (heard.error().code != errc::deadline_exceeded) {
            // The bus answers with errors: each look is a read of the log.
            bus_pause = std::min(std::max(bus_pause * 2, refused_pause), options_.look_max);
            if (auto slept = co_await sleep_until(after(bus_pause)); !slept) {
                co_return propagate(slept);
            }
        }
    }
}

// Its record, where that is final. Once more at the very end, whatever the time.
task<std::optional<faas::invocation_record>> queued_invoker::look(const std::string& job_id,
                                                                  deadline until) {
    ++statistics_.looks;
    auto record = co_await log_.get(
        job_id, std::max(std::min(until, after(look_wait)), after(options_.look_max)));
    if (!record) {
        log::debug("a call's record cannot be read",
                   {{"jobId", job_id}, {"reason", record.error().message}});
        co_return std::nullopt;
    }
    if (!faas::is_final(record->status)) {
        co_return std::nullopt;
    }
    co_return std::move(*record);
}

}  // namespace hearth::ctrl
