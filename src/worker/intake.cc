#include "worker/intake.h"

#include <algorithm>

#include "base/log.h"
#include "coro/when_any.h"
#include "worker/error_report.h"

namespace hearth::worker {
namespace {

constexpr seconds port_wait{10};     // for one call of a port
constexpr seconds trouble_pause{1};  // after the queue could not be reached
constexpr std::size_t receive_max = 10;

deadline soon() {
    return after(port_wait);
}

// The caller's moment on this host's clock.
deadline caller_deadline_of(const faas::job& job) {
    if (job.caller_deadline == 0) {
        return never;
    }
    // What a message says is bounded, so that no number in it can overflow the clock's.
    constexpr epoch_ms day_ms = 86'400'000;
    return after(milliseconds(std::clamp(job.caller_deadline - wall_clock_ms(), -day_ms, day_ms)));
}

faas::outcome too_late() {
    faas::outcome end = failure_outcome(faas::error_type::start_failed,
                                        "the caller's deadline passed before a sandbox was free");
    end.not_started = true;
    return end;
}

}  // namespace

job_intake::job_intake(faas::job_queue& queue, faas::function_table& functions,
                       faas::invocation_log& log, faas::result_bus& results, faas::invoker& invoker,
                       const intake_options& options)
    : queue_(queue),
      functions_(functions),
      log_(log),
      results_(results),
      invoker_(invoker),
      options_(options),
      dead_letters_(queue, log, results),
      room_(options.concurrency) {}

task<void> job_intake::run() {
    receiving_.spawn(receive_loop());
    if (options_.settle_dead) {
        receiving_.spawn(dead_letters_.run());
    }
    co_await receiving_.join();
    co_await running_.join();
}

intake_statistics job_intake::statistics() const noexcept {
    intake_statistics all = statistics_;
    all.dead += dead_letters_.statistics().dead;
    all.errors += dead_letters_.statistics().errors;
    return all;
}

void job_intake::stop_receiving() noexcept {
    stopping_ = true;
    receiving_.request_stop();
}

task<void> job_intake::receive_loop() {
    while (!stopping_) {
        if (receive_from_ > steady_clock::now() && !co_await sleep_until(receive_from_)) {
            co_return;
        }
        if (!co_await room_.acquire()) {
            co_return;
        }
        const std::size_t wanted = std::min(receive_max, room_.available() + 1);
        auto received = co_await queue_.receive(wanted, options_.visibility, after(options_.poll));
        if (!received) {
            room_.release();
            if (received.error().code != errc::cancelled) {
                ++statistics_.errors;
                trouble_ = received.error().message;
                log::warning("no jobs can be received", {{"reason", received.error().message}});
                [[maybe_unused]] const auto slept = co_await sleep_until(after(trouble_pause));
            }
            continue;
        }
        trouble_.clear();
        if (received->empty()) {
            room_.release();
            continue;
        }
        statistics_.received += received->size();
        for (std::size_t i = 0; i < received->size(); ++i) {
            // One permit is held already; the others were free when they were counted.
            if (i > 0 && !room_.try_acquire()) {
                check_failed("room", __FILE__, __LINE__, "more jobs than were asked for");
            }
            running_.spawn(process(std::move((*received)[i])));
        }
    }
}

task<void> job_intake::process(faas::job_delivery delivery) {
    scope extending;
    extending.spawn(keep_invisible(delivery.receipt, extending.stop()));
    co_await attempt(delivery);
    extending.request_stop();
    co_await extending.join();
    room_.release();
}

task<void> job_intake::keep_invisible(const std::string& receipt, stop_source& until_stopped) {
    while (!until_stopped.requested()) {
        if (!co_await sleep_until(after(options_.visibility / 3))) {
            co_return;
        }
        auto extended = co_await queue_.extend(receipt, options_.visibility, soon());
        if (!extended && extended.error().code != errc::cancelled) {
            ++statistics_.errors;
            log::warning("a running job's visibility could not be extended",
                         {{"reason", extended.error().message}});
        }
    }
}

task<void> job_intake::attempt(const faas::job_delivery& delivery) {
    const faas::job& job = delivery.content;
    if (stopping_) {
        co_await give_back(delivery, milliseconds(0), false);  // it came while receiving ended
        co_return;
    }
    auto marked = co_await log_.mark_running(job.job_id, delivery.attempts, soon());
    if (!marked && marked.error().code == errc::conflict) {
        ++statistics_.duplicates;  // its outcome stands
        if (auto done = co_await queue_.acknowledge(delivery.receipt, soon()); !done) {
            report("acknowledge", delivery, done.error());
        }
        co_return;
    }
    if (!marked && marked.error().code != errc::not_found) {
        co_await put_back(delivery, "mark running", marked.error());
        co_return;
    }
    const deadline caller_waits = caller_deadline_of(job);
    if (steady_clock::now() >= caller_waits) {
        co_await conclude(delivery, too_late());
        co_return;
    }
    auto found = co_await functions_.get(job.function_id, soon());
    if (!found) {
        if (found.error().code != errc::not_found) {
            co_await put_back(delivery, "look up the function", found.error());
            co_return;
        }
        invoker_.retire(job.function_id, 0);
        co_await conclude(delivery, failure_outcome(faas::error_type::code_unavailable,
                                                    "the function was deleted"));
        co_return;
    }
    faas::invocation call{.job_id = job.job_id,
                          .request_id = job.request_id,
                          .target = std::make_shared<const faas::function>(std::move(*found)),
                          .event = job.event};
    // Where this host has sandboxes of an older revision, nobody will call them any more.
    invoker_.retire(call.target->id, call.target->revision);
    auto end = co_await invoker_.invoke(call, caller_waits);
    if (!end && end.error().code == errc::deadline_exceeded) {
        co_await conclude(delivery, too_late());
        co_return;
    }
    if (!end) {
        // Not started: the queue of calls is full or the worker drains. The attempt does not count.
        const auto pause = stopping_ ? milliseconds(0) : options_.retry_base;
        co_await give_back(delivery, pause, false);
        co_return;
    }
    const bool failed = end->status != faas::invocation_status::succeeded;
    if (failed && end->host_trouble && job.caller_deadline == 0) {
        co_await put_back(delivery, "begin", {errc::unavailable, end->error_message});
        co_return;
    }
    start_trouble_.clear();
    if (failed && stopping_) {
        // The shutdown may have ended it: the next worker tries again.
        co_await give_back(delivery, milliseconds(0), !end->not_started);
    } else if (failed && job.caller_deadline == 0 && delivery.attempts < faas::attempts_max) {
        ++statistics_.retried;
        const auto pause =
            std::min(options_.retry_base * (1 << (delivery.attempts - 1)), options_.retry_max);
        co_await give_back(delivery, pause, true);
    } else {
        if (failed && job.caller_deadline == 0) {
            end->status = faas::invocation_status::dead;
        }
        co_await conclude(delivery, std::move(*end));
    }
}

task<void> job_intake::give_back(const faas::job_delivery& delivery, milliseconds pause,
                                 bool count_attempt) {
    auto back = co_await queue_.release(delivery.receipt, pause, count_attempt, soon());
    if (!back) {
        report("return to the queue", delivery, back.error());
    }
}

// Nothing of it has run, and the next one would fare no better: no attempt, and no hurry.
task<void> job_intake::put_back(const faas::job_delivery& delivery, std::string_view step,
                                error reason) {
    report(step, delivery, reason);
    start_trouble_ = std::move(reason.message);
    receive_from_ = after(trouble_pause);
    co_await give_back(delivery, stopping_ ? milliseconds(0) : options_.trouble_pause, false);
}

// Records the outcome, tells who waits for it, and only then settles the delivery. Where another
// outcome stands already, that one counts and this delivery is only done with.
task<void> job_intake::conclude(const faas::job_delivery& delivery, faas::outcome end) {
    const auto record = record_of(delivery.content, delivery.attempts, std::move(end));
    auto first = co_await log_.finish(record, soon());
    if (!first) {
        report("record the outcome", delivery, first.error());
        co_return;
    }
    const bool dead = *first && record.status == faas::invocation_status::dead;
    if (*first) {
        count(record.status);
        if (auto told = co_await results_.publish(record, delivery.content.caller_deadline, soon());
            !told) {
            report("publish the outcome", delivery, told.error());  // waiters read the record
        }
    } else {
        ++statistics_.duplicates;
    }
    auto settled = dead ? co_await queue_.bury(delivery.receipt, soon())
                        : co_await queue_.acknowledge(delivery.receipt, soon());
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
