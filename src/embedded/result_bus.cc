#include "embedded/result_bus.h"

#include "base/concat.h"

namespace hearth::embedded {

task<result<>> result_bus::publish(const faas::invocation_record& record, epoch_ms, deadline) {
    if (!is_final(record.status)) {
        co_return fail(errc::invalid_argument, "only the end of an invocation is published");
    }
    const auto [first, last] = waiters_.equal_range(record.job_id);
    for (auto each = first; each != last; ++each) {
        each->second->record = record;
        each->second->delivered.notify_one();
    }
    waiters_.erase(first, last);
    co_return result<>{};
}

task<result<faas::invocation_record>> result_bus::wait(std::string_view job_id, deadline until) {
    if (waiters_.size() >= waiters_max_) {
        co_return fail(errc::limit_exceeded,
                       concat("too many callers wait for results (", waiters_max_,
                              "); ask for the job's status instead"));
    }
    waiter self;
    const auto place = waiters_.emplace(job_id, &self);
    auto woken = co_await self.delivered.wait(until);
    // A record may have come between the deadline and this line; publish() took the place then.
    if (self.record) {
        co_return std::move(*self.record);
    }
    waiters_.erase(place);
    co_return propagate(woken);
}

}  // namespace hearth::embedded
