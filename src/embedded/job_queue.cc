#include "embedded/job_queue.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "embedded/job_store.h"

namespace hearth::embedded {
namespace {

result<> check_visibility(milliseconds visibility) {
    if (visibility < milliseconds(0) || visibility > job_queue::visibility_max) {
        return fail(errc::invalid_argument,
                    concat("a visibility timeout or delay is 0 to ",
                           job_queue::visibility_max.count(), " ms, not ", visibility.count()));
    }
    return {};
}

}  // namespace

job_queue::job_queue(database& db, std::int64_t jobs_max, time_source now)
    : db_(db), jobs_max_(jobs_max), now_(std::move(now)), next_visible_(job_store::no_time) {}

void job_queue::alarm::on_timer() noexcept {
    owner_.next_visible_ = job_store::no_time;  // the poll that this wakes learns the next one
    owner_.pollers_.notify_one();
}

// A job can be had now.
void job_queue::arrived() {
    ++changes_;
    pollers_.notify_one();
}

// A job can be had at `when`, unless it is settled before.
void job_queue::becomes_visible(epoch_ms when) {
    ++changes_;
    if (when < next_visible_) {
        next_visible_ = when;
        arm_alarm();
    }
}

void job_queue::arm_alarm() {
    if (waiting_ == 0 || next_visible_ == job_store::no_time) {
        alarm_.disarm();
        return;
    }
    const auto delay = milliseconds(std::max<epoch_ms>(next_visible_ - now_(), 0));
    executor::current()->timers().arm(alarm_, after(delay));
}

task<result<>> job_queue::wait_for_jobs(deadline until) {
    ++waiting_;
    arm_alarm();
    auto woken = co_await pollers_.wait(until);
    --waiting_;
    if (waiting_ == 0) {
        alarm_.disarm();
    }
    co_return woken;
}

task<result<>> job_queue::enqueue(const faas::job& content, deadline until) {
    auto stored = co_await db_.write(
        [&content, now = now_(), most = jobs_max_](connection& db) {
            return job_store::insert(db, content, now, most);
        },
        until);
    if (stored) {
        arrived();
    }
    co_return stored;
}

task<result<std::vector<faas::job_delivery>>> job_queue::receive(std::size_t max,
                                                                 milliseconds visibility,
                                                                 deadline until) {
    if (max < 1 || max > receive_max) {
        co_return fail(errc::invalid_argument, concat("receive takes 1 to ", receive_max, " jobs"));
    }
    if (auto valid = check_visibility(visibility); !valid) {
        co_return propagate(valid);
    }
    const stop_source* stop = co_await current_stop();
    for (;;) {
        if (stop != nullptr && stop->requested()) {
            pollers_.notify_one();  // what woke this one may be there for another
            co_return fail(errc::cancelled, "stopped while waiting for jobs");
        }
        const std::uint64_t seen = changes_;
        // No deadline: who was woken for a job looks for it, however late.
        auto polled = co_await db_.write(
            [max, visibility, now = now_()](connection& db) {
                return job_store::take(db, max, visibility, now);
            },
            never);
        if (!polled) {
            pollers_.notify_one();
            co_return propagate(polled);
        }
        const bool missed_changes = seen != changes_;
        next_visible_ =
            missed_changes ? std::min(next_visible_, polled->next_visible) : polled->next_visible;
        arm_alarm();
        if (!polled->jobs.empty()) {
            co_return std::move(polled->jobs);
        }
        if (missed_changes) {
            continue;
        }
        if (auto woken = co_await wait_for_jobs(until); !woken) {
            if (woken.error().code == errc::deadline_exceeded) {
                co_return std::vector<faas::job_delivery>{};
            }
            co_return propagate(woken);
        }
    }
}

task<result<>> job_queue::extend(std::string_view receipt, milliseconds visibility,
                                 deadline until) {
    if (auto valid = check_visibility(visibility); !valid) {
        co_return valid;
    }
    const epoch_ms visible_at = now_() + visibility.count();
    auto done = co_await db_.write(
        [receipt, visible_at](connection& db) {
            return job_store::hide_until(db, receipt, visible_at);
        },
        until);
    if (done) {
        becomes_visible(visible_at);
    }
    co_return done;
}

task<result<>> job_queue::acknowledge(std::string_view receipt, deadline until) {
    return db_.write([receipt](connection& db) { return job_store::remove(db, receipt); }, until);
}

task<result<>> job_queue::release(std::string_view receipt, milliseconds delay, bool count_attempt,
                                  deadline until) {
    if (auto valid = check_visibility(delay); !valid) {
        co_return valid;
    }
    const epoch_ms visible_at = now_() + delay.count();
    auto done = co_await db_.write(
        [receipt, visible_at, count_attempt](connection& db) {
            return job_store::give_back(db, receipt, visible_at, count_attempt);
        },
        until);
    if (done && delay.count() == 0) {
        arrived();
    } else if (done) {
        becomes_visible(visible_at);
    }
    co_return done;
}

task<result<>> job_queue::bury(std::string_view receipt, deadline until) {
    return db_.write(
        [receipt](connection& db) { return job_store::bury(db, receipt, dead_told_max); }, until);
}

task<result<std::vector<faas::job>>> job_queue::unsettled_dead(std::size_t max, deadline until) {
    return db_.read([max](connection& db) { return job_store::unsettled_dead(db, max); }, until);
}

task<result<>> job_queue::settle_dead(std::string_view job_id, deadline until) {
    return db_.write(
        [job_id](connection& db) { return job_store::settle_dead(db, job_id, dead_told_max); },
        until);
}

task<result<job_queue::depth>> job_queue::measure(deadline until) {
    return db_.read([now = now_()](connection& db) { return job_store::measure(db, now); }, until);
}

}  // namespace hearth::embedded
