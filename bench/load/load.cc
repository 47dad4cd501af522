#include "bench/load/load.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <sys/prctl.h>

#include "base/concat.h"
#include "bench/load/connection.h"
#include "coro/scope.h"
#include "coro/wait_list.h"
#include "uring/ring.h"

namespace hearth::bench {
namespace {

// Enough of a body to see whether the call succeeded.
constexpr std::size_t body_kept_max = 512;
constexpr int status_good_min = 200;
constexpr int status_good_max = 299;
// A server that refuses connections is not asked again at once.
constexpr milliseconds pause_after_error{10};
constexpr std::size_t reasons_max = 32;
constexpr const char* other_reasons = "other";

std::uint64_t nanoseconds_between(steady_time from, steady_time to) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, nanoseconds(to - from).count()));
}

// One thread's share of the load.
class load_thread {
public:
    load_thread(const load_plan& plan, const workload& what, unsigned index, steady_time start)
        : plan_(plan),
          what_(what),
          connections_(share_of(plan.connections, plan.threads, index)),
          end_(start + plan.duration),
          start_(start),
          calls_left_(plan.calls_max == 0 ? ~std::uint64_t{0}
                                          : share_of(plan.calls_max, plan.threads, index)),
          requests_(what, index, plan.threads, plan.seed),
          last_answer_(start) {
        if (plan.rate > 0) {
            due_.emplace(plan.spacing, plan.rate / plan.threads, start, end_, plan.seed + index);
        }
    }

    result<> run();
    [[nodiscard]] const measured& figures() const noexcept { return figures_; }

private:
    template <class Count>
    static Count share_of(Count all, unsigned threads, unsigned index) {
        return all / threads + (index < all % threads ? 1 : 0);
    }
    task<void> call_from_all();
    task<void> call_from_one();
    task<std::optional<steady_time>> next_due();
    task<bool> call_once(connection& on, const std::string& request, steady_time due);
    void count_error(std::string reason);

    const load_plan& plan_;
    const workload& what_;
    unsigned connections_;
    steady_time end_;
    steady_time start_;
    std::uint64_t calls_left_;
    picker requests_;
    std::optional<arrivals> due_;  // of an open loop
    steady_time last_answer_;
    bool used_up_ = false;  // nothing was left to send
    measured figures_;
};

result<> load_thread::run() {
    // Calls are sent when they are due, not 50 µs later, which is the kernel's default.
    ::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    auto loop = uring::ring::create();
    if (!loop) {
        return propagate(loop);
    }
    (*loop)->run(call_from_all());
    if (due_ && !used_up_) {
        figures_.not_sent += due_->drop_rest();
    }
    // Where there was nothing left to send, the load ended with the last answer.
    const nanoseconds lasted =
        used_up_ ? std::min<nanoseconds>(last_answer_ - start_, plan_.duration) : plan_.duration;
    figures_.seconds = std::chrono::duration<double>(lasted).count();
    return {};
}

task<void> load_thread::call_from_all() {
    scope callers;
    for (unsigned i = 0; i < connections_; ++i) {
        callers.spawn(call_from_one());
    }
    co_await callers.join();
}

task<void> load_thread::call_from_one() {
    connection on(plan_.address, body_kept_max, plan_.keep_alive);
    for (;;) {
        const auto due = co_await next_due();
        const std::string* const request = due && calls_left_ > 0 ? requests_.next() : nullptr;
        if (request == nullptr) {
            used_up_ = used_up_ || due.has_value();
            break;
        }
        --calls_left_;
        if (!co_await call_once(on, *request, *due)) {
            [[maybe_unused]] const auto slept = co_await sleep_until(after(pause_after_error));
        }
    }
    co_await on.close();
    figures_.connects += on.connects();
    figures_.bytes_received += on.bytes_received();
}

// Waits for the moment of the next call; none when the load is over. Beyond its end an open loop
// sends what was due before, as long as one call may take: leaving it out would hide the worst.
task<std::optional<steady_time>> load_thread::next_due() {
    const steady_time now = steady_clock::now();
    if (!due_) {
        if (now < start_) {
            [[maybe_unused]] const auto slept = co_await sleep_until(start_);
        }
        co_return now < end_ ? std::optional(std::max(now, start_)) : std::nullopt;
    }
    if (now >= end_ + plan_.timeout) {
        co_return std::nullopt;
    }
    const auto due = due_->next();
    if (due && *due > now) {
        [[maybe_unused]] const auto slept = co_await sleep_until(*due);
    }
    co_return due;
}

task<bool> load_thread::call_once(connection& on, const std::string& request, steady_time due) {
    const steady_time sent = steady_clock::now();
    const auto done = co_await on.call(request, sent + plan_.timeout);
    const steady_time answered = steady_clock::now();
    last_answer_ = answered;
    if (!done) {
        count_error(done.error().message);
        co_return false;
    }
    const int status = on.last().status();
    ++figures_.statuses[status];
    if (status < status_good_min || status > status_good_max) {
        count_error(concat("status ", status));
        co_return false;
    }
    if (on.last().body().find(what_.success) == std::string_view::npos) {
        count_error("the function failed");
        co_return true;
    }
    figures_.from_sent.add(nanoseconds_between(sent, answered));
    figures_.from_due.add(nanoseconds_between(due_ ? due : sent, answered));
    figures_.good_in_time += answered <= end_ ? 1 : 0;
    co_return true;
}

void load_thread::count_error(std::string reason) {
    if (figures_.errors.size() >= reasons_max && !figures_.errors.contains(reason)) {
        reason = other_reasons;
    }
    ++figures_.errors[std::move(reason)];
}

}  // namespace

void measured::add(const measured& other) {
    from_due.add(other.from_due);
    from_sent.add(other.from_sent);
    for (const auto& [status, count] : other.statuses) {
        statuses[status] += count;
    }
    for (const auto& [reason, count] : other.errors) {
        errors[reason] += count;
    }
    good_in_time += other.good_in_time;
    not_sent += other.not_sent;
    connects += other.connects;
    bytes_received += other.bytes_received;
    seconds = std::max(seconds, other.seconds);
}

result<measured> run_load(const load_plan& plan, const workload& what) {
    // Threads take a moment to start, and all begin together.
    constexpr milliseconds start_delay{20};
    const steady_time start = steady_clock::now() + start_delay;
    std::vector<std::unique_ptr<load_thread>> parts;
    std::vector<result<>> ends(plan.threads);
    std::vector<std::thread> running;
    for (unsigned i = 0; i < plan.threads; ++i) {
        parts.push_back(std::make_unique<load_thread>(plan, what, i, start));
        running.emplace_back([&part = *parts.back(), &end = ends[i]] { end = part.run(); });
    }
    measured sum;
    for (unsigned i = 0; i < plan.threads; ++i) {
        running[i].join();
        sum.add(parts[i]->figures());
    }
    for (result<>& end : ends) {
        if (!end) {
            return propagate(end);
        }
    }
    return sum;
}

}  // namespace hearth::bench
