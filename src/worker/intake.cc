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
        forget_passed_trouble();
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
        const std::string& job_id = each.content.job_id;
        if (const auto known = jobs_.find(job_id); known != jobs_.end()) {
            adopt(*known->second, std::move(each));
            continue;
        }
        auto fresh = std::make_unique<in_hand>();
        jobs_.emplace(job_id, fresh.get());
        fresh->delivery = std::move(each);
        running_.spawn(process(std::move(fresh), background));
    }
    co_await background->ask(soon());
}

void job_intake::adopt(in_hand& mine, faas::job_delivery again) {
    ++statistics_.duplicates;
    room_.left(again.content.event.size());
    mine.older.push_back(std::exchange(mine.delivery.receipt, std::move(again.receipt)));
    mine.delivery.attempts = std::max(mine.delivery.attempts, again.attempts);
    mine.lost = false;
}

task<void> job_intake::process(std::unique_ptr<in_hand> job,
                               std::shared_ptr<batch_lookup> background) {
    in_hand& mine = *job;
    scope extending;
    extending.spawn(keep_invisible(mine, extending.stop()));
    co_await attempt(mine, *background);
    extending.request_stop();
    co_await extending.join();
    jobs_.erase(mine.delivery.content.job_id);
    room_.left(mine.delivery.content.event.size());
}

task<void> job_intake::keep_invisible(in_hand& mine, stop_source& until_stopped) {
    while (!until_stopped.requested()) {
        if (!co_await sleep_until(after(options_.visibility / 3))) {
            co_return;
        }
        co_await extend(mine);
    }
}

// The newest first: it counts.
task<void> job_intake::extend(in_hand& mine) {
    std::vector<std::string> receipts{mine.delivery.receipt};
    receipts.insert(receipts.end(), mine.older.begin(), mine.older.end());
    for (const std::string& each : receipts) {
        auto extended = co_await queue_.extend(each, options_.visibility, soon());
        if (extended || extended.error().code == errc::cancelled) {
            continue;
        }
        const bool is_void = extended.error().code == errc::not_found;
        if (is_void && each != mine.delivery.receipt) {
            std::erase(mine.older, each);
            continue;
        }
        mine.lost = mine.lost || is_void;
        report("extend its visibility", mine.delivery, extended.error());
    }
}

task<void> job_intake::attempt(in_hand& mine, batch_lookup& background) {
    const faas::job_delivery& delivery = mine.delivery;
    const faas::job& job = delivery.content;
    const auto known = co_await background.about(job);
    if (stopping_) {
        co_await give_back(mine, milliseconds(0), false);  // it came while receiving ended
        co_return;
    }
    if (!known.ended) {
        co_await put_back(mine, "read the record", known.ended.error());
        co_return;
    }
    if (*known.ended) {
        co_await drop_duplicate(mine);
        co_return;
    }
    if (!known.target && known.target.error().code != errc::not_found) {
        co_await put_back(mine, "look up the function", known.target.error());
        co_return;
    }
    if (!known.target) {
        invoker_.retire(job.function_id, 0);
        co_await conclude(
            mine, failure_outcome(faas::error_type::code_unavailable, "the function was deleted"));
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
            co_await tell_too_late(mine);
        } else {
            co_await give_back(mine, stopping_ ? milliseconds(0) : spread_pause(), false);
        }
        co_return;
    }
    if (steady_clock::now() - came > asked_again_after) {
        const auto ended = co_await ended_meanwhile(delivery.content);
        if (!ended || *ended || mine.lost) {
            turns_.release();
            if (!ended) {
                co_await put_back(mine, "read the record", ended.error());
            } else if (*ended) {
                co_await drop_duplicate(mine);
            }
            co_return;  // otherwise somebody else has it
        }
    }
    auto end = co_await run_one(delivery, std::move(target), caller_waits);
    turns_.release();
    co_await settle_run(mine, std::move(end));
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

}  // namespace hearth::worker
