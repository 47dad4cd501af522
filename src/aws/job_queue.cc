#include "aws/job_queue.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "base/log.h"
#include "coro/when_all.h"

namespace hearth::aws {
namespace {

batch_limits limits_with(milliseconds linger) {
    return {.items_max = sqs::batch_items_max, .bytes_max = sqs::batch_bytes_max, .linger = linger};
}

}  // namespace

job_queue::job_queue(client& api, blobs& large_events, job_queue_settings settings)
    : api_(api),
      large_events_(large_events),
      settings_(std::move(settings)),
      sends_([this](const auto& items,
                    deadline until) { return api_.send(settings_.queue_url, items, until); },
             limits_with(settings_.linger)),
      dead_sends_(
          [this](const auto& items, deadline until) {
              return api_.send(settings_.dead_letter_url, items, until);
          },
          limits_with(settings_.linger)),
      removals_([this](const auto& items,
                       deadline until) { return api_.remove(settings_.queue_url, items, until); },
                limits_with(settings_.linger)),
      changes_(
          [this](const auto& items, deadline until) {
              return api_.change_visibility(settings_.queue_url, items, until);
          },
          limits_with(settings_.linger)),
      polls_free_(settings_.polls_max) {}

result<> job_queue::check_visibility(milliseconds visibility) {
    if (visibility < milliseconds(0) || visibility > sqs::visibility_max) {
        return fail(errc::invalid_argument,
                    concat("a visibility timeout or delay is 0 to ", sqs::visibility_max.count(),
                           " ms, not ", visibility.count()));
    }
    return {};
}

std::unexpected<error> job_queue::void_receipt() {
    return fail(errc::not_found, "the receipt is void: the job was settled or delivered anew");
}

task<void> job_queue::run() {
    running_ = true;
    scope batching(co_await current_stop());
    batching.spawn(sends_.run());
    batching.spawn(dead_sends_.run());
    batching.spawn(removals_.run());
    batching.spawn(changes_.run());
    co_await batching.join();
    running_ = false;
    background_.request_stop();
    co_await background_.join();
}

task<result<>> job_queue::enqueue(const faas::job& content, deadline until) {
    job_message message{.content = content, .event_blob = {}};
    std::string body = encode(message);
    if (body.size() > sqs::batch_bytes_max) {
        auto stored = co_await large_events_.put(content.job_id, content.event, until);
        if (!stored) {
            co_return propagate(stored);
        }
        ++counts_.large_events;
        message.event_blob = std::move(*stored);
        message.content.event.clear();
        body = encode(message);
    }
    const std::size_t bytes = body.size();
    auto sent = co_await sends_.submit({.body = std::move(body)}, bytes, until);
    if (!sent && sent.error().code == errc::closed) {
        forget_blob(message);  // otherwise it may have been sent
    }
    co_return sent;
}

task<result<>> job_queue::remove(std::string handle, deadline until) {
    const std::size_t bytes = handle.size();
    return removals_.submit(std::move(handle), bytes, until);
}

task<result<>> job_queue::extend(std::string_view receipt, milliseconds visibility,
                                 deadline until) {
    if (auto valid = check_visibility(visibility); !valid) {
        co_return valid;
    }
    const auto found = held_.find(receipt);
    if (found == held_.end()) {
        co_return void_receipt();
    }
    found->second.visible_at = after(visibility);
    auto changed = co_await changes_.submit(
        {.handle = found->second.handle, .visibility = std::chrono::ceil<seconds>(visibility)},
        found->second.handle.size(), until);
    // SQS says so where the message is gone, or visible again.
    if (!changed && changed.error().code == errc::invalid_argument) {
        changed.error().code = errc::not_found;
    }
    co_return changed;
}

task<result<>> job_queue::acknowledge(std::string_view receipt, deadline until) {
    const auto found = held_.find(receipt);
    if (found == held_.end()) {
        co_return void_receipt();
    }
    const std::string name = found->first;
    const held what = found->second;
    auto removed = co_await remove(what.handle, until);
    if (removed) {
        held_.erase(name);
        receipt_of_.erase(what.message_id);
        forget_blob(what.message);
    }
    co_return removed;
}

task<result<>> job_queue::release(std::string_view receipt, milliseconds delay, bool count_attempt,
                                  deadline until) {
    if (auto valid = check_visibility(delay); !valid) {
        co_return valid;
    }
    const auto found = held_.find(receipt);
    if (found == held_.end()) {
        co_return void_receipt();
    }
    const std::string name = found->first;
    const held what = found->second;
    result<> done;
    if (count_attempt) {
        done = co_await changes_.submit(
            {.handle = what.handle, .visibility = std::chrono::ceil<seconds>(delay)},
            what.handle.size(), until);
        if (!done && done.error().code == errc::invalid_argument) {
            done.error().code = errc::not_found;
        }
    } else {
        done = co_await send_again(what, delay, until);
    }
    if (done) {
        held_.erase(name);
        receipt_of_.erase(what.message_id);
    }
    co_return done;
}

// The new message first: between the two the job is there twice rather than not at all.
task<result<>> job_queue::send_again(held what, milliseconds delay, deadline until) {
    job_message message = std::move(what.message);
    message.attempts_before = what.attempts - 1;
    if (!message.event_blob.empty()) {
        message.content.event.clear();
    }
    std::string body = encode(message);
    const std::size_t bytes = body.size();
    auto sent = co_await sends_.submit(
        {.body = std::move(body),
         .delay = std::min(std::chrono::ceil<seconds>(delay), sqs::delay_max)},
        bytes, until);
    if (!sent) {
        co_return sent;
    }
    co_return co_await remove(std::move(what.handle), until);
}

task<result<job_queue::depth>> job_queue::measure(deadline until) {
    auto [live, dead] = co_await when_all(api_.measure(settings_.queue_url, until),
                                          api_.measure(settings_.dead_letter_url, until));
    if (!live) {
        co_return propagate(live);
    }
    if (!dead) {
        co_return propagate(dead);
    }
    co_return depth{.visible = live->visible + live->delayed,
                    .in_flight = live->in_flight,
                    .dead = dead->visible + dead->in_flight + dead->delayed};
}

void job_queue::forget_blob(const job_message& message) {
    if (!message.event_blob.empty() && running_) {
        background_.spawn(drop_blob(message.event_blob));
    }
}

task<void> job_queue::drop_blob(std::string key) {
    auto removed = co_await large_events_.remove(key, after(step_time));
    if (!removed) {
        log::info("a payload is left to the bucket's lifecycle rule",
                  {{"key", key}, {"reason", removed.error().message}});
    }
}

}  // namespace hearth::aws
