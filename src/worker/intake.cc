#include "worker/intake.h"

#include <algorithm>

#include "base/log.h"
#include "coro/when_all.h"
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
constexpr milliseconds helper_poll{1'000};

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
        if (full && helpers_ < helpers_max) {
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
    for (const auto& each : received ? *received : std::vector<faas::job_delivery>{}) {
        bytes += each.content.event.size();
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

// Asks log and table for the whole batch; then each job goes its own way.
task<void> job_intake::begin(std::vector<faas::job_delivery> batch) {
    auto [ended, targets] = co_await when_all(ended_of(batch), functions_of(batch));
    for (auto& each : batch) {
        const result<bool> has_ended = ended ? result<bool>(ended->contains(each.content.job_id))
                                             : std::unexpected(ended.error());
        auto target = targets.at(each.content.function_id);
        running_.spawn(process({std::move(each), has_ended, std::move(target)}));
    }
}

task<result<std::set<std::string>>> job_intake::ended_of(
    const std::vector<faas::job_delivery>& batch) {
    std::set<std::string> all;
    for (const auto& each : batch) {
        all.insert(each.content.job_id);
    }
    const std::vector<std::string> asked(all.begin(), all.end());
    auto ended = co_await log_.ended(asked, soon());
    if (!ended) {
        co_return propagate(ended);
    }
    for (std::size_t i = 0; i < asked.size(); ++i) {
        if (!(*ended)[i]) {
            all.erase(asked[i]);
        }
    }
    co_return all;
}

task<std::map<std::string, result<job_intake::shared_function>>> job_intake::functions_of(
    const std::vector<faas::job_delivery>& batch) {
    std::map<std::string, result<shared_function>> found;
    scope looking(co_await current_stop());
    for (const auto& each : batch) {
        const auto [place, is_new] = found.emplace(each.content.function_id, shared_function());
        if (is_new) {
            looking.spawn(look_up(place->first, place->second));
        }
    }
    co_await looking.join();
    co_return found;
}

task<void> job_intake::look_up(const std::string& function_id, result<shared_function>& into) {
    auto found = co_await functions_.get(function_id, soon());
    if (found) {
        into = std::make_shared<const faas::function>(std::move(*found));
    } else {
        into = propagate(found);
    }
}

task<void> job_intake::process(arrival what) {
    scope extending;
    extending.spawn(keep_invisible(what.delivery.receipt, extending.stop()));
    co_await attempt(what);
    extending.request_stop();
    co_await extending.join();
    room_.left(what.delivery.content.event.size());
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

task<void> job_intake::attempt(const arrival& what) {
    const faas::job_delivery& delivery = what.delivery;
    const faas::job& job = delivery.content;
    if (stopping_) {
        co_await give_back(delivery, milliseconds(0), false);  // it came while receiving ended
        co_return;
    }
    if (!what.ended) {
        co_await put_back(delivery, "read the record", what.ended.error());
        co_return;
    }
    if (*what.ended) {
        ++statistics_.duplicates;
        if (auto done = co_await queue_.acknowledge(delivery.receipt, soon()); !done) {
            report("acknowledge", delivery, done.error());
        }
        co_return;
    }
    if (!what.target) {
        if (what.target.error().code != errc::not_found) {
            co_await put_back(delivery, "look up the function", what.target.error());
            co_return;
        }
        invoker_.retire(job.function_id, 0);
        co_await conclude(delivery, failure_outcome(faas::error_type::code_unavailable,
                                                    "the function was deleted"));
        co_return;
    }
    const deadline caller_waits = caller_deadline_of(job);
    const auto mine = co_await turn(caller_waits);
    if (!mine && mine.error().code == errc::deadline_exceeded) {
        co_await conclude(delivery, too_late());
        co_return;
    }
    if (!mine) {
        co_await give_back(delivery, milliseconds(0), false);
        co_return;
    }
    auto end = co_await run_one(delivery, *what.target, caller_waits);
    turns_.release();
    co_await settle_run(delivery, std::move(end));
}

// errc::deadline_exceeded when it did not come in time, errc::cancelled when receiving stopped.
task<result<>> job_intake::turn(deadline until) {
    if (steady_clock::now() >= until) {
        co_return fail(errc::deadline_exceeded, "the caller's deadline passed");
    }
    if (turns_.try_acquire()) {
        co_return result<>{};
    }
    auto first = co_await when_any(turns_.acquire(until), draining_.wait());
    if (first.index() == 0) {
        co_return std::get<0>(std::move(first));
    }
    // Were it given a turn at this very moment, it would be lost; nobody begins any more.
    co_return fail(errc::cancelled, "receiving has stopped");
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
    const auto began = steady_clock::now();
    scope marking;
    marking.spawn(mark_running_later(delivery));
    auto end = co_await invoker_.invoke(call, until);
    marking.request_stop();
    co_await marking.join();
    room_.ran_for(steady_clock::now() - began);
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
        // The shutdown may have ended it: the next worker tries again.
        co_await give_back(delivery, milliseconds(0), !end->not_started);
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
