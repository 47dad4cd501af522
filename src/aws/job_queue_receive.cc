// How the job queue receives: long polls, and what becomes of the messages that they bring.

#include <algorithm>
#include <array>
#include <utility>

#include "aws/job_queue.h"
#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"

namespace hearth::aws {
namespace {

constexpr std::size_t receive_max = 10;
constexpr milliseconds answer_grace{2'000};  // for a poll's answer, beyond its caller's time
constexpr milliseconds poll_extra{15'000};   // beyond its wait, for the request itself
// A caller's 20 s are 19.99 by now. One long poll shall be all that an idle worker asks.
constexpr milliseconds second_almost_whole{50};
constexpr milliseconds short_poll_pause{200};  // where less than a second is left to wait
constexpr std::chrono::hours held_after_visible{1};

std::string make_receipt() {
    std::array<std::byte, 16> bytes;
    random_bytes(bytes);
    return to_hex(bytes);
}

}  // namespace

task<result<std::vector<faas::job_delivery>>> job_queue::receive(std::size_t max,
                                                                 milliseconds visibility,
                                                                 deadline until) {
    if (max < 1 || max > receive_max) {
        co_return fail(errc::invalid_argument, concat("receive takes 1 to ", receive_max, " jobs"));
    }
    if (auto valid = check_visibility(visibility); !valid) {
        co_return propagate(valid);
    }
    for (;;) {
        auto jobs = co_await poll_for(max, std::chrono::ceil<seconds>(visibility), until);
        if (!jobs || !jobs->empty() || steady_clock::now() >= until) {
            co_return jobs;
        }
        // Too little time is left for SQS to do the waiting.
        if (until - steady_clock::now() < seconds(1)) {
            auto slept = co_await sleep_until(std::min(until, after(short_poll_pause)));
            if (!slept) {
                co_return propagate(slept);
            }
            if (steady_clock::now() >= until) {
                co_return std::vector<faas::job_delivery>{};
            }
        }
    }
}

// One long poll, as long as `until` allows; nothing when it brought nothing. Its task goes on when
// the caller is stopped or the time is up.
task<result<std::vector<faas::job_delivery>>> job_queue::poll_for(std::size_t max,
                                                                  seconds visibility,
                                                                  deadline until) {
    if (!running_) {
        co_return fail(errc::closed, "the queue's client was shut down");
    }
    const auto give_up = until < deadline::max() - answer_grace ? until + answer_grace : until;
    auto waited = co_await polls_free_.acquire(give_up);
    if (waited) {
        const auto left = std::max(until - steady_clock::now(), nanoseconds(0));
        auto mine = std::make_shared<polling>();
        mine->max = max;
        mine->visibility = visibility;
        mine->wait =
            std::min(std::chrono::floor<seconds>(left + second_almost_whole), sqs::wait_max);
        background_.spawn(poll(mine));
        waited = co_await mine->done.wait(give_up);
        if (waited) {
            co_return std::move(mine->jobs);
        }
        mine->abandoned = true;
    }
    if (waited.error().code == errc::deadline_exceeded) {
        co_return std::vector<faas::job_delivery>{};
    }
    co_return propagate(waited);
}

task<void> job_queue::poll(std::shared_ptr<polling> what) {
    ++counts_.polls;
    ++polling_;
    what->jobs =
        co_await poll_once(what->max, what->visibility, what->wait, after(what->wait + poll_extra));
    polls_free_.release();
    if (what->abandoned && what->jobs) {
        co_await give_back_unwanted(std::move(*what->jobs));
    }
    what->done.set();
    --polling_;
    poll_ended_.notify_all();
}

task<result<>> job_queue::finish_polls(deadline until) {
    while (polling_ > 0) {
        if (auto ended = co_await poll_ended_.wait(until); !ended) {
            co_return propagate(ended);
        }
    }
    co_return result<>{};
}

task<result<std::vector<faas::job_delivery>>> job_queue::poll_once(std::size_t max,
                                                                   seconds visibility, seconds wait,
                                                                   deadline until) {
    auto got = co_await api_.receive(settings_.queue_url, max, visibility, wait, until);
    if (!got) {
        co_return propagate(got);
    }
    std::vector<faas::job_delivery> jobs;
    scope admitting(co_await current_stop());  // events that lie in the bucket are fetched at once
    for (auto& each : *got) {
        admitting.spawn(admit(std::move(each), visibility, jobs));
    }
    co_await admitting.join();
    co_return jobs;
}

// A message becomes a delivery, or goes to the dead letters. What cannot be done now is left to the
// visibility timeout, which brings the message back.
task<void> job_queue::admit(sqs::message got, seconds visibility,
                            std::vector<faas::job_delivery>& into) {
    auto message = decode_job_message(got.body);
    if (!message) {
        ++counts_.not_understood;
        log::error("a message of the job queue is no job and goes to the dead letters",
                   {{"messageId", got.id}, {"reason", message.error().message}});
        std::string body = got.body;
        [[maybe_unused]] const auto tried = co_await bury_message(std::move(got), std::move(body));
        co_return;
    }
    faas::job_delivery delivery;
    // A service that leaves the count out has handed it out once.
    got.receive_count = std::max<std::int64_t>(got.receive_count, 1);
    delivery.attempts = message->attempts_before + got.receive_count;
    bool is_lost = false;
    bool is_delayed = false;
    if (!message->event_blob.empty()) {
        auto event = co_await large_events_.get(message->event_blob, after(step_time));
        is_lost = !event && event.error().code == errc::not_found;
        if (!event) {
            log::warning("a job's event cannot be fetched",
                         {{"jobId", message->content.job_id}, {"reason", event.error().message}});
            is_delayed = !is_lost;
        } else {
            message->content.event = std::move(*event);
        }
    }
    if (delivery.attempts > faas::attempts_max || is_lost) {
        if (!message->event_blob.empty()) {
            message->content.event.clear();
        }
        auto buried = co_await bury_message(std::move(got), encode(*message));
        if (!buried) {
            log::warning("a job could not be moved to the dead letters",
                         {{"jobId", message->content.job_id}, {"reason", buried.error().message}});
        }
        co_return;
    }
    delivery.content = message->content;
    delivery.receipt = hold(std::move(got), std::move(*message), visibility);
    if (is_delayed) {
        // Not handed out, so no attempt. If this fails too, the visibility timeout remains.
        [[maybe_unused]] const auto back =
            co_await release(delivery.receipt, visibility, false, after(step_time));
        co_return;
    }
    into.push_back(std::move(delivery));
}

std::string job_queue::hold(sqs::message got, job_message message, seconds visibility) {
    forget_old();
    if (const auto known = receipt_of_.find(got.id); known != receipt_of_.end()) {
        held_.erase(known->second);
    }
    std::string receipt = make_receipt();
    const std::int64_t attempts = message.attempts_before + got.receive_count;
    receipt_of_[got.id] = receipt;
    held_.emplace(receipt, held{.message_id = std::move(got.id),
                                .handle = std::move(got.handle),
                                .message = std::move(message),
                                .attempts = attempts,
                                .visible_at = after(visibility)});
    return receipt;
}

// Deliveries that nobody settled: their jobs are long with somebody else.
void job_queue::forget_old() {
    if (held_.size() < forget_at_) {
        return;
    }
    const auto now = steady_clock::now();
    std::erase_if(held_, [&](const auto& each) {
        const bool old = each.second.visible_at + held_after_visible < now;
        if (old) {
            receipt_of_.erase(each.second.message_id);
        }
        return old;
    });
    forget_at_ = std::max<std::size_t>(1000, 2 * held_.size());
}

task<void> job_queue::give_back_unwanted(std::vector<faas::job_delivery> jobs) {
    for (const auto& each : jobs) {
        ++counts_.returned;
        auto back = co_await release(each.receipt, milliseconds(0), false, after(step_time));
        if (!back) {
            log::warning("a job that nobody waits for could not be returned",
                         {{"jobId", each.content.job_id}, {"reason", back.error().message}});
        }
    }
}

}  // namespace hearth::aws
