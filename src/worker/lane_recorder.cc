#include "worker/lane_recorder.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace hearth::worker {
namespace {

std::size_t bytes_of(const faas::outcome& end) {
    return end.result_json.size() + end.stack_trace_json.size() + end.error_message.size() +
           end.logs.size();
}

}  // namespace

task<void> lane_recorder::record(faas::invocation_record what) {
    const std::size_t bytes = bytes_of(what.end);
    result<bool> first = fail(errc::limit_exceeded, "too many outcomes wait to be recorded");
    if (records_ < options_.records_max && bytes <= options_.bytes_max - bytes_) {
        ++records_;
        bytes_ += bytes;
        first = co_await try_until(what);
        if (first && *first) {
            co_await announce(what);
        }
        --records_;
        bytes_ -= bytes;
    }
    if (first) {
        ++(*first ? statistics_.recorded : statistics_.known);
        co_return;
    }
    ++statistics_.lost;
    log::warning("the outcome of a call whose lane was lost is not recorded",
                 {{"jobId", what.job_id}, {"reason", first.error().message}});
}

task<result<bool>> lane_recorder::try_until(const faas::invocation_record& what) {
    const deadline patience = after(options_.patience);
    milliseconds pause = options_.pause_base;
    for (;;) {
        const bool last = hurried_.is_set();
        auto first = co_await log_.finish(what, after(options_.try_wait));
        if (first || last || steady_clock::now() >= patience) {
            co_return first;
        }
        auto hurried = co_await hurried_.wait(after(pause));
        if (!hurried && hurried.error().code == errc::cancelled) {
            co_return first;
        }
        pause = std::min(2 * pause, options_.pause_max);
    }
}

// As of a job: whoever waits by then need not look for the record.
task<void> lane_recorder::announce(const faas::invocation_record& what) {
    if (auto told = co_await results_.publish(what, after(options_.announce_wait)); !told) {
        log::debug("an outcome was not announced",
                   {{"jobId", what.job_id}, {"reason", told.error().message}});
    }
}

}  // namespace hearth::worker
