#pragma once

#include <string>
#include <vector>

#include "faas/ports.h"

// The real queue and log behind a pane: what passes is noted, and a call can be made to fail before
// it reaches them.

namespace hearth::test {

class spying_queue final : public faas::job_queue {
public:
    explicit spying_queue(faas::job_queue& real) : real_(real) {}

    struct released {
        milliseconds delay;
        bool counted;
    };
    std::vector<released> releases;
    int extended = 0;
    int kept = 0;  // of those, the ones that the queue knew
    int acknowledged = 0;
    int buried = 0;
    int received_polls = 0;
    int failures = 0;     // of receive(), still to come
    int unreachable = 0;  // failures of extend(), still to come

    task<result<>> enqueue(const faas::job& content, deadline until) override {
        return real_.enqueue(content, until);
    }
    task<result<std::vector<faas::job_delivery>>> receive(std::size_t max, milliseconds visibility,
                                                          deadline until) override {
        ++received_polls;
        if (failures > 0) {
            --failures;
            co_return fail(errc::unavailable, "the queue is away");
        }
        co_return co_await real_.receive(max, visibility, until);
    }
    task<result<>> extend(std::string_view receipt, milliseconds visibility,
                          deadline until) override {
        if (unreachable > 0) {
            --unreachable;
            co_return fail(errc::unavailable, "the queue is away");
        }
        auto done = co_await real_.extend(receipt, visibility, until);
        ++extended;
        kept += done ? 1 : 0;
        co_return done;
    }
    task<result<>> acknowledge(std::string_view receipt, deadline until) override {
        auto done = co_await real_.acknowledge(receipt, until);
        ++acknowledged;
        co_return done;
    }
    task<result<>> release(std::string_view receipt, milliseconds delay, bool count_attempt,
                           deadline until) override {
        releases.push_back({delay, count_attempt});
        return real_.release(receipt, delay, count_attempt, until);
    }
    task<result<>> bury(std::string_view receipt, deadline until) override {
        auto done = co_await real_.bury(receipt, until);
        ++buried;
        co_return done;
    }
    task<result<std::vector<faas::job>>> unsettled_dead(std::size_t max, deadline until) override {
        return real_.unsettled_dead(max, until);
    }
    task<result<>> settle_dead(std::string_view job_id, deadline until) override {
        return real_.settle_dead(job_id, until);
    }
    task<result<depth>> measure(deadline until) override { return real_.measure(until); }

private:
    faas::job_queue& real_;
};

class spying_log final : public faas::invocation_log {
public:
    explicit spying_log(faas::invocation_log& real) : real_(real) {}

    int failures = 0;  // of finish(), still to come
    int unread = 0;    // failures of ended(), still to come
    int marked = 0;
    int finished = 0;

    task<result<>> create(const faas::invocation_record& record, deadline until) override {
        return real_.create(record, until);
    }
    task<result<>> mark_running(const faas::invocation_record& record, deadline until) override {
        ++marked;
        return real_.mark_running(record, until);
    }
    task<result<std::vector<bool>>> ended(std::vector<std::string> job_ids,
                                          deadline until) override {
        if (unread > 0) {
            --unread;
            co_return fail(errc::unavailable, "the log is away");
        }
        co_return co_await real_.ended(std::move(job_ids), until);
    }
    task<result<bool>> finish(const faas::invocation_record& record, deadline until) override {
        if (failures > 0) {
            --failures;
            co_return fail(errc::unavailable, "the log is away");
        }
        auto done = co_await real_.finish(record, until);
        ++finished;
        co_return done;
    }
    task<result<faas::invocation_record>> get(std::string_view job_id, deadline until) override {
        return real_.get(job_id, until);
    }
    task<result<std::int64_t>> expire(epoch_ms before, deadline until) override {
        return real_.expire(before, until);
    }

private:
    faas::invocation_log& real_;
};

}  // namespace hearth::test
