// The intake's other half: what becomes of a job once it is known how it ended.

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "coro/wait_list.h"
#include "worker/error_report.h"
#include "worker/intake.h"

namespace hearth::worker {
namespace {

constexpr seconds port_wait{10};     // for one call of a port
constexpr seconds trouble_pause{1};  // of receiving, after a job could not be begun
constexpr int record_rounds = 3;

deadline soon() {
    return after(port_wait);
}

}  // namespace

task<void> job_intake::settle_run(const in_hand& mine, result<faas::outcome> end) {
    const faas::job_delivery& delivery = mine.delivery;
    const faas::job& job = delivery.content;
    if (!end && end.error().code == errc::deadline_exceeded) {
        co_await tell_too_late(mine);
        co_return;
    }
    if (!end) {
        // Not started: the queue of calls is full or the worker drains. The attempt does not count.
        const auto pause = stopping_ ? milliseconds(0) : options_.retry_base;
        co_await give_back(mine, pause, false);
        co_return;
    }
    const bool failed = end->status != faas::invocation_status::succeeded;
    if (failed && end->host_trouble && job.caller_deadline == 0) {
        co_await put_back(mine, "begin", {errc::unavailable, end->error_message});
        co_return;
    }
    start_trouble_.clear();
    if (failed && stopping_) {
        // The shutdown may have ended it: the next worker tries again, after the last attempt too.
        const bool counts = !end->not_started && delivery.attempts < faas::attempts_max;
        co_await give_back(mine, milliseconds(0), counts);
    } else if (failed && job.caller_deadline == 0 && delivery.attempts < faas::attempts_max) {
        ++statistics_.retried;
        co_await mark_running(delivery);  // who asks during the pause shall see the attempt
        const auto pause =
            std::min(options_.retry_base * (1 << (delivery.attempts - 1)), options_.retry_max);
        co_await give_back(mine, pause, true);
    } else {
        if (failed && job.caller_deadline == 0) {
            end->status = faas::invocation_status::dead;
        }
        co_await conclude(mine, std::move(*end));
    }
}

task<void> job_intake::tell_too_late(const in_hand& mine) {
    faas::outcome end = failure_outcome(faas::error_type::start_failed,
                                        "the caller's deadline passed before a sandbox was free");
    end.not_started = true;
    co_await conclude(mine, std::move(end));
}

task<void> job_intake::drop_duplicate(const in_hand& mine) {
    ++statistics_.duplicates;
    if (auto done = co_await acknowledge(mine); !done) {
        report("acknowledge", mine.delivery, done.error());
    }
}

// Only where its outcome stands. A receipt is copied for each call, since a newer one may take its
// place meanwhile.
task<result<>> job_intake::acknowledge(const in_hand& mine) {
    const std::string newest = mine.delivery.receipt;
    const std::vector<std::string> older = mine.older;
    auto done = co_await queue_.acknowledge(newest, soon());
    for (const std::string& each : older) {
        // Void, or the job is in the queue twice. If this fails it comes back and is dropped then.
        [[maybe_unused]] const auto also = co_await queue_.acknowledge(each, soon());
    }
    co_return done;
}

task<void> job_intake::give_back(const in_hand& mine, milliseconds pause, bool count_attempt) {
    const std::string newest = mine.delivery.receipt;
    auto back = co_await queue_.release(newest, pause, count_attempt, soon());
    if (!back) {
        report("return to the queue", mine.delivery, back.error());
    }
}

// Nothing of it has run, and the next one would fare no better: no attempt, and no hurry.
task<void> job_intake::put_back(const in_hand& mine, std::string_view step, error reason) {
    report(step, mine.delivery, reason);
    pause_receiving(std::move(reason.message));
    co_await give_back(mine, stopping_ ? milliseconds(0) : options_.trouble_pause, false);
}

void job_intake::pause_receiving(std::string reason) {
    start_trouble_ = std::move(reason);
    start_trouble_at_ = steady_clock::now();
    receive_from_ = after(trouble_pause);
    room_.forget_pace();
}

// The queue has nothing, and what went back for this trouble would be there again: others took it.
// Whether the trouble lasts the next job will tell; until then a worker that is merely idle is not
// to be called unfit.
void job_intake::forget_passed_trouble() {
    if (steady_clock::now() - start_trouble_at_ > options_.trouble_pause) {
        start_trouble_.clear();
    }
}

// Tried again while the delivery is kept invisible: running the job once more costs more.
task<result<bool>> job_intake::record(const faas::job_delivery& delivery,
                                      const faas::invocation_record& outcome) {
    for (int round = 1;; ++round) {
        auto first = co_await log_.finish(outcome, soon());
        if (first) {
            co_return first;
        }
        report("record the outcome", delivery, first.error());
        pause_receiving(first.error().message);
        if (round == record_rounds || stopping_ ||
            !co_await sleep_until(after(options_.retry_base * round))) {
            co_return first;
        }
    }
}

// Records the outcome, tells who waits for it, and only then settles the delivery. Where another
// outcome stands already, that one counts and this delivery is only done with.
task<void> job_intake::conclude(const in_hand& mine, faas::outcome end) {
    const faas::job_delivery& delivery = mine.delivery;
    const auto outcome = record_of(delivery.content, delivery.attempts, std::move(end));
    auto first = co_await record(delivery, outcome);
    if (!first) {
        co_return;
    }
    const bool dead = *first && outcome.status == faas::invocation_status::dead;
    if (*first) {
        count(outcome.status);
        if (auto told =
                co_await results_.publish(outcome, delivery.content.caller_deadline, soon());
            !told) {
            report("publish the outcome", delivery, told.error());  // waiters read the record
        }
    } else {
        ++statistics_.duplicates;
    }
    const std::string newest = delivery.receipt;
    auto settled = dead ? co_await queue_.bury(newest, soon()) : co_await acknowledge(mine);
    if (!settled) {
        report("settle the delivery", delivery, settled.error());
    }
    if (dead && settled) {
        if (auto known = co_await queue_.settle_dead(delivery.content.job_id, soon()); !known) {
            report("settle the dead letter", delivery, known.error());
        }
    }
}

void job_intake::count(faas::invocation_status status) {
    switch (status) {
        case faas::invocation_status::succeeded:
            ++statistics_.succeeded;
            break;
        case faas::invocation_status::dead:
            ++statistics_.dead;
            break;
        default:
            ++statistics_.failed;
            break;
    }
}

void job_intake::report(std::string_view what, const faas::job_delivery& delivery,
                        const error& reason) {
    ++statistics_.errors;
    log::warning("a job's step failed; what is not done yet is done when it comes back",
                 {{"step", what}, {"jobId", delivery.content.job_id}, {"reason", reason.message}});
}

}  // namespace hearth::worker
