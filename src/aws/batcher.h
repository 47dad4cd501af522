#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "coro/event.h"
#include "coro/scope.h"
#include "coro/semaphore.h"
#include "coro/task.h"
#include "coro/wait_list.h"

namespace hearth::aws {

struct batch_limits {
    std::size_t items_max = 10;
    std::size_t bytes_max = 256u << 10;  // of a batch's items together
    milliseconds linger{2};              // how long the first item waits for company
    std::size_t in_flight_max = 8;       // batches at once
    std::size_t waiting_max = 10'000;    // items; errc::limit_exceeded beyond
    int rounds_max = 3;                  // for items that fail while others of their batch do not
    milliseconds round_pause{50};
};

// Many callers, each with one item; few requests, each with many. Items wait a moment for others
// and go together; each caller hears what became of its own. An item whose caller leaves before it
// went is not sent. Ring thread only.
template <class Item>
class batcher {
public:
    // One result per item, or one error for all. The items stay alive until it is done.
    using send_function = std::function<task<result<std::vector<result<>>>>(
        const std::vector<Item>& items, deadline until)>;
    struct statistics {
        std::uint64_t items = 0;
        std::uint64_t batches = 0;
        std::uint64_t repeated = 0;  // items that were sent once more
    };

    batcher(send_function send, const batch_limits& limits)
        : send_(std::move(send)), limits_(limits), free_(limits.in_flight_max) {}

    // errc::closed when run() has ended; deadline_exceeded and cancelled: it may have been sent.
    task<result<>> submit(Item item, std::size_t bytes, deadline until);
    // Sends until stopped. What waits then, and what comes later, is errc::closed.
    task<void> run();

    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

private:
    struct entry {
        Item item;
        std::size_t bytes;
        deadline until;
        event done;
        result<> outcome;
        bool abandoned = false;
    };
    using entries = std::vector<std::shared_ptr<entry>>;

    task<result<>> gather();
    [[nodiscard]] entries take();
    task<void> deliver(entries batch);
    task<entries> deliver_once(const entries& batch, bool last);

    send_function send_;
    batch_limits limits_;
    std::deque<std::shared_ptr<entry>> waiting_;
    wait_list changed_;
    semaphore free_;
    bool closed_ = false;
    statistics counts_;
};

template <class Item>
task<result<>> batcher<Item>::submit(Item item, std::size_t bytes, deadline until) {
    if (closed_) {
        co_return fail(errc::closed, "the queue's client was shut down");
    }
    if (steady_clock::now() >= until) {
        co_return fail(errc::deadline_exceeded, "the deadline passed before the request");
    }
    if (waiting_.size() >= limits_.waiting_max) {
        co_return fail(errc::limit_exceeded, "too many requests wait to be sent; try again later");
    }
    auto mine = std::make_shared<entry>(std::move(item), bytes, until);
    waiting_.push_back(mine);
    changed_.notify_one();
    auto done = co_await mine->done.wait(until);
    if (!done) {
        mine->abandoned = true;
        co_return done;
    }
    co_return std::move(mine->outcome);
}

template <class Item>
task<void> batcher<Item>::run() {
    scope sending(co_await current_stop());
    while (co_await gather()) {
        if (!co_await free_.acquire()) {
            break;
        }
        auto batch = take();
        if (batch.empty()) {
            free_.release();
        } else {
            sending.spawn(deliver(std::move(batch)));
        }
    }
    closed_ = true;
    co_await sending.join();
    for (auto& each : waiting_) {
        each->outcome = fail(errc::closed, "the queue's client was shut down");
        each->done.set();
    }
    waiting_.clear();
}

// Until there is something and it has waited long enough.
template <class Item>
task<result<>> batcher<Item>::gather() {
    while (waiting_.empty()) {
        if (auto woken = co_await changed_.wait(); !woken) {
            co_return woken;
        }
    }
    const deadline full_or = after(limits_.linger);
    while (waiting_.size() < limits_.items_max) {
        auto woken = co_await changed_.wait(full_or);
        if (!woken && woken.error().code == errc::deadline_exceeded) {
            break;
        }
        if (!woken) {
            co_return woken;
        }
    }
    co_return result<>{};
}

template <class Item>
typename batcher<Item>::entries batcher<Item>::take() {
    entries batch;
    std::size_t bytes = 0;
    while (!waiting_.empty() && batch.size() < limits_.items_max) {
        auto& first = waiting_.front();
        if (!first->abandoned) {
            if (!batch.empty() && bytes + first->bytes > limits_.bytes_max) {
                break;
            }
            bytes += first->bytes;
            batch.push_back(std::move(first));
        }
        waiting_.pop_front();
    }
    return batch;
}

template <class Item>
task<void> batcher<Item>::deliver(entries batch) {
    counts_.items += batch.size();
    for (int round = 1; !batch.empty(); ++round) {
        batch = co_await deliver_once(batch, round >= limits_.rounds_max);
        counts_.repeated += batch.size();
        if (!batch.empty() && !co_await sleep_until(after(limits_.round_pause * round))) {
            for (auto& each : batch) {
                each->outcome = fail(errc::cancelled, "stopped before it was sent once more");
                each->done.set();
            }
            break;
        }
    }
    free_.release();
}

// The items that failed and may not another time; everybody else has been told.
template <class Item>
task<typename batcher<Item>::entries> batcher<Item>::deliver_once(const entries& batch, bool last) {
    std::vector<Item> items;
    items.reserve(batch.size());
    deadline until = deadline::min();
    for (const auto& each : batch) {
        items.push_back(each->item);
        until = std::max(until, each->until);
    }
    ++counts_.batches;
    auto sent = co_await send_(items, until);
    entries again;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        entry& one = *batch[i];
        one.outcome = sent ? std::move((*sent)[i]) : std::unexpected(sent.error());
        const bool curable = sent && !one.outcome && one.outcome.error().code == errc::unavailable;
        if (curable && !last) {
            again.push_back(batch[i]);
        } else {
            one.done.set();
        }
    }
    co_return again;
}

}  // namespace hearth::aws
