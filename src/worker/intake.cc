#include "worker/intake.h"

#include <algorithm>

#include "base/ids.h"
#include "base/log.h"
#include "coro/when_any.h"
#include "worker/error_report.h"

namespace hearth::worker {
namespace {

constexpr seconds port_wait{10};     // for one call of a port
constexpr seconds trouble_pause{1};  // after the queue could not be reached
constexpr std::size_t receive_max = 10;
// Beside the poll that is always there, while polls come back full: one at a time brings 10 jobs
// for each trip to the queue.
constexpr std::size_t helpers_max = 3;
constexpr int record_rounds = 3;
// A job that waited longer for its turn may have been begun elsewhere, where its delivery was late.
constexpr milliseconds asked_again_after{250};
// Of a job that goes back for others to take: not all of them at once.
constexpr milliseconds spread_min{100};
constexpr std::uint64_t spread_ms = 2'000;
constexpr milliseconds helper_poll{1'000};

deadline soon() {
    return after(port_wait);
}

milliseconds spread_pause() {
    return spread_min + milliseconds(random_u64() % spread_ms);
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
      room_(options.concurrency),
      turns_(options.concurrency) {}

task<void> job_intake::run() {
    receiving_.spawn(receive_loop(false));
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
    draining_.set();
    receiving_.request_stop();
}

task<void> job_intake::receive_loop(bool helping) {
    while (!stopping_) {
        if (receive_from_ > steady_clock::now() && !co_await sleep_until(receive_from_)) {
            break;
        }
        const bool full = co_await receive_once(helping ? helper_poll : options_.poll);
        if (full && helpers_ < helpers_max && room_.is_light()) {
            ++helpers_;
            receiving_.spawn(receive_loop(true));
        }
        if (helping && !full) {
            break;
        }
    }
    helpers_ -= helping ? 1 : 0;
}

// Whether it brought as many as one poll can.
task<bool> job_intake::receive_once(milliseconds wait) {
    const auto reserved = co_await room_.reserve(receive_max);
    if (!reserved) {
        co_return false;
    }
    auto received = co_await queue_.receive(*reserved, options_.visibility, after(wait));
    std::size_t bytes = 0;
    if (received) {
        for (const auto& each : *received) {
            bytes += each.content.event.size();
        }
    }
    room_.arrived(*reserved, received ? received->size() : 0, bytes);
    if (!received) {
        if (received.error().code != errc::cancelled) {
            ++statistics_.errors;
            trouble_ = received.error().message;
            log::warning("no jobs can be received", {{"reason", received.error().message}});
            [[maybe_unused]] const auto slept = co_await sleep_until(after(trouble_pause));
        }
        co_return false;
    }
    trouble_.clear();
    if (received->empty()) {
        co_return false;
    }
    const bool full = received->size() == receive_max;
    statistics_.received += received->size();
    running_.spawn(begin(std::move(*received)));
    co_return full;
}

// Each job keeps its delivery invisible from the start, and waits for what the batch asks.
task<void> job_intake::begin(std::vector<faas::job_delivery> batch) {
    const auto background = std::make_shared<batch_lookup>(log_, functions_, batch);
    for (auto& each : batch) {
        if (job_ids_.insert(each.content.job_id).second) {
            running_.spawn(process(std::move(each), background));
        } else {
            // The same job is here already. This delivery comes back when its visibility ends, and
            // then an outcome stands.
            ++statistics_.duplicates;
            room_.left(each.content.event.size());
        }
    }
    co_await background->ask(soon());
}

task<void> job_intake::process(faas::job_delivery delivery,
                               std::shared_ptr<batch_lookup> background) {
    in_hand mine{.delivery = std::move(delivery)};
    scope extending;
    extending.spawn(keep_invisible(mine, extending.stop()));
    co_await attempt(mine, *background);
    extending.request_stop();
    co_await extending.join();
    job_ids_.erase(mine.delivery.content.job_id);
    room_.left(mine.delivery.content.event.size());
}

task<void> job_intake::keep_invisible(in_hand& mine, stop_source& until_stopped) {
    while (!until_stopped.requested()) {
        if (!co_await sleep_until(after(options_.visibility / 3))) {
            co_return;
        }
        auto extended = co_await queue_.extend(mine.delivery.receipt, options_.visibility, soon());
        if (!extended && extended.error().code != errc::cancelled) {
            ++statistics_.errors;
            mine.lost = extended.error().code == errc::not_found;
            log::warning(
                "a job's visibility could not be extended",
                {{"jobId", mine.delivery.content.job_id}, {"reason", extended.error().message}});
        }
    }
}

task<void> job_intake::attempt(in_hand& mine, batch_lookup& background) {
    const faas::job_delivery& delivery = mine.delivery;
    const faas::job& job = delivery.content;
    const auto known = co_await background.about(job);
    if (stopping_) {
        co_await give_back(delivery, milliseconds(0), false);  // it came while receiving ended
        co_return;
    }
    if (!known.ended) {
        co_await put_back(delivery, "read the record", known.ended.error());
        co_return;
    }
    if (*known.ended) {
        co_await drop_duplicate(delivery);
        co_return;
    }
    if (!known.target && known.target.error().code != errc::not_found) {
        co_await put_back(delivery, "look up the function", known.target.error());
        co_return;
    }
    if (!known.target) {
        invoker_.retire(job.function_id, 0);
        co_await conclude(delivery, failure_outcome(faas::error_type::code_unavailable,
                                                    "the function was deleted"));
        co_return;
    }
    co_await take_turn(mine, *known.target);
}

task<void> job_intake::take_turn(in_hand& mine, shared_function target) {
    const faas::job_delivery& delivery = mine.delivery;
    const deadline caller_waits = caller_deadline_of(delivery.content);
    const auto came = steady_clock::now();
    const auto mine_now =
        co_await turn(delivery.attempts, std::min(caller_waits, after(options_.turn_wait)));
    if (!mine_now) {
        if (steady_clock::now() >= caller_waits) {
            co_await conclude(delivery, too_late());
        } else {
            co_await give_back(delivery, stopping_ ? milliseconds(0) : spread_pause(), false);
        }
        co_return;
    }
    if (steady_clock::now() - came > asked_again_after) {
        const auto ended = co_await ended_meanwhile(delivery.content);
        if (!ended || *ended || mine.lost) {
            turns_.release();
            if (!ended) {
                co_await put_back(delivery, "read the record", ended.error());
            } else if (*ended) {
                co_await drop_duplicate(delivery);
            }
            co_return;  // otherwise somebody else has it
        }
    }
    auto end = co_await run_one(delivery, std::move(target), caller_waits);
    turns_.release();
    co_await settle_run(delivery, std::move(end));
}

// errc::deadline_exceeded when it does not come in time, errc::cancelled when receiving stopped,
// errc::limit_exceeded for a job that was begun before, where as many of those wait as run at once:
// a worker that is killed costs each job in hand an attempt, and what ended one may end the next.
task<result<>> job_intake::turn(std::int64_t attempts, deadline until) {
    if (steady_clock::now() >= until) {
        co_return fail(errc::deadline_exceeded, "the caller's deadline passed");
    }
    if (turns_.try_acquire()) {
        co_return result<>{};
    }
    const bool retried = attempts > 1;
    if (retried && retried_waiting_ >= options_.concurrency) {
        co_return fail(errc::limit_exceeded, "other jobs that were begun before wait");
    }
    retried_waiting_ += retried ? 1 : 0;
    auto first = co_await when_any(turns_.acquire(until), draining_.wait());
    retried_waiting_ -= retried ? 1 : 0;
    if (first.index() == 0) {
        co_return std::get<0>(std::move(first));
    }
    // Were it given a turn at this very moment, it would be lost; nobody begins any more.
    co_return fail(errc::cancelled, "receiving has stopped");
}

task<result<bool>> job_intake::ended_meanwhile(const faas::job& job) {
    std::vector<std::string> one{job.job_id};
    auto ended = co_await log_.ended(std::move(one), soon());
    if (!ended) {
        co_return propagate(ended);
    }
    co_return ended->front();
}

task<void> job_intake::drop_duplicate(const faas::job_delivery& delivery) {
    ++statistics_.duplicates;
    if (auto done = co_await queue_.acknowledge(delivery.receipt, soon()); !done) {
        report("acknowledge", delivery, done.error());
    }
}

task<result<faas::outcome>> job_intake::run_one(const faas::job_delivery& delivery,
                                                shared_function target, deadline until) {
    const faas::job& job = delivery.content;
    const faas::invocation call{.job_id = job.job_id,
                                .request_id = job.request_id,
                                .target = std::move(target),
                                .event = job.event};
    // Where this host has sandboxes of an older revision, nobody will call them any more.
    invoker_.retire(call.target->id, call.target->revision);
    scope marking;
    marking.spawn(mark_running_later(delivery));
    const auto running = room_.begin();
    auto end = co_await invoker_.invoke(call, until);
    // What was refused or could not be begun says nothing of how long jobs take.
    room_.end(running, end && !end->not_started && !end->host_trouble);
    marking.request_stop();
    co_await marking.join();
    co_return end;
}

task<void> job_intake::mark_running_later(const faas::job_delivery& delivery) {
    if (co_await sleep_until(after(options_.mark_after))) {
        co_await mark_running(delivery);
    }
}

// What it says of the job is of use to who asks, and nothing rests on it.
task<void> job_intake::mark_running(const faas::job_delivery& delivery) {
    faas::outcome open;
    open.status = faas::invocation_status::running;
    const auto record = record_of(delivery.content, delivery.attempts, std::move(open));
    auto marked = co_await log_.mark_running(record, soon());
    const bool expected = marked || marked.error().code == errc::cancelled ||
                          marked.error().code == errc::conflict;  // its outcome stands by now
    if (!expected) {
        report("mark as running", delivery, marked.error());
    }
}

task<void> job_intake::settle_run(const faas::job_delivery& delivery, result<faas::outcome> end) {
    const faas::job& job = delivery.content;
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
        // The shutdown may have ended it: the next worker tries again, after the last attempt too.
        const bool counts = !end->not_started && delivery.attempts < faas::attempts_max;
        co_await give_back(delivery, milliseconds(0), counts);
    } else if (failed && job.caller_deadline == 0 && delivery.attempts < faas::attempts_max) {
        ++statistics_.retried;
        co_await mark_running(delivery);  // who asks during the pause shall see the attempt
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
    pause_receiving(std::move(reason.message));
    co_await give_back(delivery, stopping_ ? milliseconds(0) : options_.trouble_pause, false);
}

void job_intake::pause_receiving(std::string reason) {
    start_trouble_ = std::move(reason);
    receive_from_ = after(trouble_pause);
    room_.forget_pace();
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
task<void> job_intake::conclude(const faas::job_delivery& delivery, faas::outcome end) {
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
