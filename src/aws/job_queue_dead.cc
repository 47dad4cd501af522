// The job queue's dead letters: what goes there, and how those that no record tells of are found.

#include <algorithm>
#include <utility>

#include "aws/job_queue.h"
#include "base/concat.h"

namespace hearth::aws {
namespace {

constexpr std::size_t scan_max = 10;  // messages of one receive
constexpr std::size_t settled_max = 1000;

}  // namespace

task<result<>> job_queue::send_to_dead_letters(std::string body, deadline until) {
    const std::size_t bytes = body.size();
    return dead_sends_.submit({.body = std::move(body)}, bytes, until);
}

task<result<>> job_queue::bury_message(sqs::message got, std::string body) {
    auto sent = co_await send_to_dead_letters(std::move(body), after(step_time));
    if (!sent) {
        co_return sent;
    }
    co_return co_await remove(std::move(got.handle), after(step_time));
}

task<result<>> job_queue::bury(std::string_view receipt, deadline until) {
    const auto found = held_.find(receipt);
    if (found == held_.end()) {
        co_return void_receipt();
    }
    const std::string name = found->first;
    const held what = found->second;
    job_message message = what.message;
    message.settled = true;
    message.attempts_before = what.attempts;
    if (!message.event_blob.empty()) {
        message.content.event.clear();
    }
    auto sent = co_await send_to_dead_letters(encode(message), until);
    if (!sent) {
        co_return sent;
    }
    auto removed = co_await remove(what.handle, until);
    if (removed) {
        held_.erase(name);
        receipt_of_.erase(what.message_id);
        remember_settled(message.content.job_id);
    }
    co_return removed;
}

void job_queue::remember_settled(std::string job_id) {
    settled_.push_back(std::move(job_id));
    if (settled_.size() > settled_max) {
        settled_.pop_front();
    }
}

task<result<std::vector<faas::job>>> job_queue::unsettled_dead(std::size_t max, deadline until) {
    const auto now = steady_clock::now();
    std::erase_if(dead_, [now](const auto& each) { return each.second.visible_at <= now; });
    if (dead_.size() < max) {
        if (auto scanned = co_await scan_dead_letters(max - dead_.size(), until); !scanned) {
            co_return propagate(scanned);
        }
    }
    std::vector<faas::job> jobs;
    for (const auto& [id, letter] : dead_) {
        if (jobs.size() < max) {
            jobs.push_back(letter.message.content);
        }
    }
    co_return jobs;
}

task<result<>> job_queue::scan_dead_letters(std::size_t wanted, deadline until) {
    constexpr int rounds_max = 10;  // 100 messages: the rest is for the next scan
    for (int round = 0; round < rounds_max && wanted > 0; ++round) {
        auto got = co_await api_.receive(settings_.dead_letter_url, scan_max,
                                         settings_.dead_visibility, seconds(0), until);
        if (!got) {
            co_return propagate(got);
        }
        if (got->empty()) {
            break;
        }
        std::vector<sqs::visibility_change> hidden;
        for (auto& each : *got) {
            auto message = decode_job_message(each.body);
            if (!message || message->settled) {
                hidden.push_back(
                    {.handle = std::move(each.handle), .visibility = sqs::visibility_max});
                continue;
            }
            const auto id = message->content.job_id;
            // Not handed out in the last moments, when another process may have it already.
            dead_.insert_or_assign(
                id, dead_letter{.handle = std::move(each.handle),
                                .message = std::move(*message),
                                .visible_at = after(settings_.dead_visibility * 3 / 4)});
            wanted -= std::min<std::size_t>(wanted, 1);
        }
        if (!hidden.empty()) {
            auto changed =
                co_await api_.change_visibility(settings_.dead_letter_url, hidden, until);
            if (!changed) {
                co_return propagate(changed);
            }
        }
    }
    co_return result<>{};
}

task<result<>> job_queue::settle_dead(std::string_view job_id, deadline until) {
    const auto found = dead_.find(job_id);
    if (found == dead_.end()) {
        if (std::ranges::find(settled_, job_id) != settled_.end()) {
            co_return result<>{};
        }
        co_return fail(errc::not_found, concat("no dead job has the id ", job_id));
    }
    const std::string id = found->first;
    dead_letter letter = found->second;
    letter.message.settled = true;
    auto sent = co_await send_to_dead_letters(encode(letter.message), until);
    if (!sent) {
        co_return sent;
    }
    std::vector<std::string> handles;
    handles.push_back(letter.handle);
    auto removed = co_await api_.remove(settings_.dead_letter_url, handles, until);
    if (!removed) {
        co_return propagate(removed);
    }
    dead_.erase(id);
    remember_settled(id);
    co_return std::move(removed->front());
}

}  // namespace hearth::aws
