#pragma once

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "faas/ports.h"
#include "tests/port/missing.h"
#include "tests/support/test_executor.h"

// What every job queue must hold. An implementation joins with a fixture and one line:
//
//     INSTANTIATE_TYPED_TEST_SUITE_P(embedded, job_queue_conformance, embedded_queue_fixture);
//
// The fixture is default-constructible, starts with an empty queue and has
//     test_executor& loop();
//     faas::job_queue& port();
//     void pass(milliseconds);   // lets time pass for the queue: a moved clock or a real wait
//     milliseconds tick();       // the shortest visibility timeout it can tell apart
//     bool tells_duplicates();   // whether the queue knows the ids of the jobs that are in it
// and, where it needs something that may not be there,
//     std::string missing();     // what, and what to do; tests are skipped then

namespace hearth::test {

template <class Fixture>
class job_queue_conformance : public ::testing::Test {
protected:
    void SetUp() override {
        if (const auto missing = missing_for(fixture_); !missing.empty()) {
            GTEST_SKIP() << missing;
        }
    }
    static constexpr milliseconds long_visibility{60'000};

    static faas::job make_job(std::string_view id, std::string event = "{}") {
        return {std::string(id), concat("request-", id), "function-1", std::move(event)};
    }
    template <class T>
    T run(task<T> work) {
        return fixture_.loop().run(std::move(work));
    }
    faas::job_queue& queue() { return fixture_.port(); }

    void enqueue(std::string_view id) {
        const auto job = make_job(id);
        const auto stored = run(queue().enqueue(job, soon()));
        ASSERT_TRUE(stored) << stored.error().message;
    }
    // What is visible now, or nothing.
    std::vector<faas::job_delivery> poll(std::size_t max = 10,
                                         milliseconds visibility = long_visibility) {
        auto received = run(queue().receive(max, visibility, after(milliseconds(20))));
        EXPECT_TRUE(received) << received.error().message;
        return received ? std::move(*received) : std::vector<faas::job_delivery>{};
    }
    faas::job_delivery take_one(milliseconds visibility = long_visibility) {
        auto received = run(queue().receive(1, visibility, soon()));
        EXPECT_TRUE(received && received->size() == 1);
        return received && received->size() == 1 ? received->front() : faas::job_delivery{};
    }
    faas::job_queue::depth depth() {
        const auto measured = run(queue().measure(soon()));
        EXPECT_TRUE(measured);
        return measured.value_or(faas::job_queue::depth{-1, -1, -1});
    }
    // Delivers the job as often as it may be and lets each delivery run out.
    void use_up_attempts() {
        for (std::int64_t attempt = 1; attempt <= faas::attempts_max; ++attempt) {
            ASSERT_EQ(take_one(fixture_.tick()).attempts, attempt);
            fixture_.pass(fixture_.tick());
        }
    }
    static errc code_of(const result<>& failed) {
        return failed ? errc::internal : failed.error().code;
    }

    Fixture fixture_;
};
TYPED_TEST_SUITE_P(job_queue_conformance);

TYPED_TEST_P(job_queue_conformance, delivers_what_was_enqueued_with_every_field) {
    auto sent = this->make_job("job-1", R"({"text":"üñí \u0000","n":[1,2]})");
    sent.caller_deadline = 1'700'000'000'123;
    ASSERT_TRUE(this->run(this->queue().enqueue(sent, soon())));
    const auto got = this->take_one();
    EXPECT_EQ(got.content.job_id, sent.job_id);
    EXPECT_EQ(got.content.caller_deadline, sent.caller_deadline);
    EXPECT_EQ(got.content.request_id, sent.request_id);
    EXPECT_EQ(got.content.function_id, sent.function_id);
    EXPECT_EQ(got.content.event, sent.event);
    EXPECT_EQ(got.attempts, 1);
    EXPECT_FALSE(got.receipt.empty());
}

TYPED_TEST_P(job_queue_conformance, carries_the_largest_async_payload) {
    const std::string event = "\"" + std::string(faas::async_payload_bytes_max - 2, 'x') + "\"";
    const auto sent = this->make_job("large", event);
    ASSERT_TRUE(this->run(this->queue().enqueue(sent, soon())));
    EXPECT_EQ(this->take_one().content.event, event);
}

TYPED_TEST_P(job_queue_conformance, refuses_a_job_id_that_is_queued_already) {
    if (!this->fixture_.tells_duplicates()) {
        GTEST_SKIP() << "this queue does not know its jobs' ids; their records refuse the second";
    }
    this->enqueue("job-1");
    const auto again = this->make_job("job-1");
    EXPECT_EQ(this->code_of(this->run(this->queue().enqueue(again, soon()))), errc::conflict);
    this->take_one();
    EXPECT_EQ(this->code_of(this->run(this->queue().enqueue(again, soon()))), errc::conflict);
}

TYPED_TEST_P(job_queue_conformance, delivers_each_visible_job_once_and_at_most_max_at_a_time) {
    for (int i = 0; i < 12; ++i) {
        this->enqueue(concat("job-", i));
    }
    std::set<std::string> seen;
    std::size_t deliveries = 0;
    for (auto batch = this->poll(5); !batch.empty(); batch = this->poll(5)) {
        EXPECT_LE(batch.size(), 5u);
        deliveries += batch.size();
        for (const auto& each : batch) {
            seen.insert(each.content.job_id);
        }
    }
    EXPECT_EQ(seen.size(), 12u);
    EXPECT_EQ(deliveries, 12u);
}

TYPED_TEST_P(job_queue_conformance, receive_takes_one_to_ten_jobs) {
    for (const std::size_t max : {std::size_t{0}, std::size_t{11}}) {
        const auto refused =
            this->run(this->queue().receive(max, this->long_visibility, after(milliseconds(1))));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, errc::invalid_argument);
    }
}

TYPED_TEST_P(job_queue_conformance, an_acknowledged_job_never_comes_back) {
    this->enqueue("job-1");
    const auto got = this->take_one(this->fixture_.tick());
    ASSERT_TRUE(this->run(this->queue().acknowledge(got.receipt, soon())));
    this->fixture_.pass(this->fixture_.tick());
    EXPECT_TRUE(this->poll().empty());
    const auto left = this->depth();
    EXPECT_EQ(left.visible + left.in_flight + left.dead, 0);
}

TYPED_TEST_P(job_queue_conformance, a_job_comes_back_after_its_visibility_with_one_attempt_more) {
    this->enqueue("job-1");
    const auto first = this->take_one(this->fixture_.tick());
    this->fixture_.pass(this->fixture_.tick());
    const auto second = this->take_one();
    EXPECT_EQ(second.content.job_id, "job-1");
    EXPECT_EQ(second.attempts, first.attempts + 1);
    EXPECT_NE(second.receipt, first.receipt);
}

TYPED_TEST_P(job_queue_conformance, a_newer_delivery_voids_the_receipt) {
    this->enqueue("job-1");
    const auto old = this->take_one(this->fixture_.tick());
    this->fixture_.pass(this->fixture_.tick());
    const auto current = this->take_one();
    auto& queue = this->queue();
    EXPECT_EQ(this->code_of(this->run(queue.extend(old.receipt, seconds(1), soon()))),
              errc::not_found);
    EXPECT_EQ(this->code_of(this->run(queue.acknowledge(old.receipt, soon()))), errc::not_found);
    EXPECT_EQ(this->code_of(this->run(queue.release(old.receipt, seconds(0), true, soon()))),
              errc::not_found);
    EXPECT_EQ(this->code_of(this->run(queue.bury(old.receipt, soon()))), errc::not_found);
    EXPECT_TRUE(this->run(queue.acknowledge(current.receipt, soon())));
}

TYPED_TEST_P(job_queue_conformance, a_receipt_that_was_never_issued_is_void) {
    for (const std::string_view receipt :
         {"", ".", "1", "1.", "1.2", "-1.-1", "garbage", "99999999999999999999.1", "1.2.3"}) {
        EXPECT_EQ(this->code_of(this->run(this->queue().acknowledge(receipt, soon()))),
                  errc::not_found)
            << receipt;
    }
}

TYPED_TEST_P(job_queue_conformance, acknowledging_twice_finds_nothing) {
    this->enqueue("job-1");
    const auto got = this->take_one();
    ASSERT_TRUE(this->run(this->queue().acknowledge(got.receipt, soon())));
    EXPECT_EQ(this->code_of(this->run(this->queue().acknowledge(got.receipt, soon()))),
              errc::not_found);
}

TYPED_TEST_P(job_queue_conformance, extending_keeps_a_job_from_others_for_longer) {
    this->enqueue("job-1");
    const auto tick = this->fixture_.tick();
    const auto got = this->take_one(2 * tick);
    this->fixture_.pass(tick);
    ASSERT_TRUE(this->run(this->queue().extend(got.receipt, 4 * tick, soon())));
    this->fixture_.pass(2 * tick);
    EXPECT_TRUE(this->poll().empty());
    this->fixture_.pass(2 * tick);
    EXPECT_EQ(this->take_one().attempts, 2);
}

TYPED_TEST_P(job_queue_conformance, a_released_job_is_visible_again_at_once) {
    this->enqueue("job-1");
    const auto got = this->take_one();
    ASSERT_TRUE(this->run(this->queue().release(got.receipt, milliseconds(0), true, soon())));
    EXPECT_EQ(this->take_one().attempts, 2);
}

TYPED_TEST_P(job_queue_conformance, a_job_that_was_not_started_gets_its_attempt_back) {
    this->enqueue("job-1");
    for (std::int64_t round = 0; round <= faas::attempts_max; ++round) {
        const auto got = this->take_one();
        EXPECT_EQ(got.attempts, 1);
        ASSERT_TRUE(this->run(this->queue().release(got.receipt, milliseconds(0), false, soon())));
    }
}

TYPED_TEST_P(job_queue_conformance, a_release_with_a_delay_hides_the_job_that_long) {
    this->enqueue("job-1");
    const auto tick = this->fixture_.tick();
    const auto got = this->take_one();
    ASSERT_TRUE(this->run(this->queue().release(got.receipt, 2 * tick, true, soon())));
    EXPECT_TRUE(this->poll().empty());
    const auto waiting = this->depth();
    EXPECT_EQ(waiting.visible + waiting.in_flight, 1);
    this->fixture_.pass(2 * tick);
    EXPECT_EQ(this->take_one().attempts, 2);
}

TYPED_TEST_P(job_queue_conformance, used_up_attempts_move_a_job_to_the_unsettled_dead) {
    this->enqueue("job-1");
    this->use_up_attempts();
    EXPECT_TRUE(this->poll().empty());
    EXPECT_EQ(this->depth().dead, 1);
    auto& queue = this->queue();
    for (int reading = 0; reading < 2; ++reading) {
        const auto dead = this->run(queue.unsettled_dead(10, soon()));
        ASSERT_TRUE(dead);
        ASSERT_EQ(dead->size(), 1u);
        EXPECT_EQ(dead->front().job_id, "job-1");
        EXPECT_EQ(dead->front().request_id, "request-job-1");
        EXPECT_EQ(dead->front().function_id, "function-1");
    }
    ASSERT_TRUE(this->run(queue.settle_dead("job-1", soon())));
    const auto dead = this->run(queue.unsettled_dead(10, soon()));
    ASSERT_TRUE(dead);
    EXPECT_TRUE(dead->empty());
}

TYPED_TEST_P(job_queue_conformance, a_buried_job_is_dead_and_needs_no_settling) {
    this->enqueue("job-1");
    const auto got = this->take_one(this->fixture_.tick());
    ASSERT_TRUE(this->run(this->queue().bury(got.receipt, soon())));
    this->fixture_.pass(this->fixture_.tick());
    EXPECT_TRUE(this->poll().empty());
    const auto dead = this->run(this->queue().unsettled_dead(10, soon()));
    ASSERT_TRUE(dead);
    EXPECT_TRUE(dead->empty());
    EXPECT_EQ(this->depth().dead, 1);
}

TYPED_TEST_P(job_queue_conformance, measures_visible_delivered_and_dead_jobs) {
    for (int i = 0; i < 5; ++i) {
        this->enqueue(concat("job-", i));
    }
    const auto taken = this->poll(3);
    ASSERT_EQ(taken.size(), 3u);
    ASSERT_TRUE(this->run(this->queue().bury(taken[0].receipt, soon())));
    ASSERT_TRUE(this->run(this->queue().acknowledge(taken[1].receipt, soon())));
    const auto measured = this->depth();
    EXPECT_EQ(measured.visible, 2);
    EXPECT_EQ(measured.in_flight, 1);
    EXPECT_EQ(measured.dead, 1);
}

TYPED_TEST_P(job_queue_conformance, a_long_poll_returns_nothing_at_its_deadline) {
    const auto start = steady_clock::now();
    const auto received =
        this->run(this->queue().receive(1, this->long_visibility, start + milliseconds(30)));
    ASSERT_TRUE(received);
    EXPECT_TRUE(received->empty());
    EXPECT_GE(steady_clock::now(), start + milliseconds(30));
}

TYPED_TEST_P(job_queue_conformance, an_enqueue_ends_a_long_poll) {
    auto polling =
        this->fixture_.loop().start(this->queue().receive(1, this->long_visibility, soon()));
    this->enqueue("job-1");
    const auto received = polling.get();
    ASSERT_TRUE(received);
    ASSERT_EQ(received->size(), 1u);
    EXPECT_EQ(received->front().content.job_id, "job-1");
}

TYPED_TEST_P(job_queue_conformance, every_long_poll_gets_its_job) {
    constexpr int pollers = 8;
    std::vector<test_loop::pending<result<std::vector<faas::job_delivery>>>> polling;
    for (int i = 0; i < pollers; ++i) {
        polling.push_back(
            this->fixture_.loop().start(this->queue().receive(1, this->long_visibility, soon())));
    }
    for (int i = 0; i < pollers; ++i) {
        this->enqueue(concat("job-", i));
    }
    std::set<std::string> seen;
    for (auto& each : polling) {
        const auto received = each.get();
        ASSERT_TRUE(received);
        ASSERT_EQ(received->size(), 1u);
        seen.insert(received->front().content.job_id);
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(pollers));
}

TYPED_TEST_P(job_queue_conformance, a_release_ends_a_long_poll) {
    this->enqueue("job-1");
    const auto got = this->take_one();
    auto polling =
        this->fixture_.loop().start(this->queue().receive(1, this->long_visibility, soon()));
    ASSERT_TRUE(this->run(this->queue().release(got.receipt, milliseconds(0), true, soon())));
    const auto received = polling.get();
    ASSERT_TRUE(received);
    EXPECT_EQ(received->size(), 1u);
}

TYPED_TEST_P(job_queue_conformance, a_visibility_timeout_ends_a_long_poll_that_began_before) {
    auto polling =
        this->fixture_.loop().start(this->queue().receive(1, this->long_visibility, soon()));
    auto other =
        this->fixture_.loop().start(this->queue().receive(1, this->fixture_.tick(), soon()));
    this->enqueue("job-1");
    // Either poll may get the job first; the other one gets it only if it comes back by itself.
    this->fixture_.loop().run_until([&] { return polling.done() || other.done(); });
    if (other.done()) {
        const auto received = polling.get();
        ASSERT_TRUE(received);
        ASSERT_EQ(received->size(), 1u);
        EXPECT_EQ(received->front().attempts, 2);
    } else {
        const auto received = polling.get();
        ASSERT_TRUE(received);
        ASSERT_TRUE(this->run(
            this->queue().extend(received->front().receipt, this->fixture_.tick(), soon())));
        const auto again = other.get();
        ASSERT_TRUE(again);
        ASSERT_EQ(again->size(), 1u);
        EXPECT_EQ(again->front().attempts, 2);
    }
}

TYPED_TEST_P(job_queue_conformance, stop_ends_a_long_poll_with_cancelled) {
    auto polling =
        this->fixture_.loop().start(this->queue().receive(1, this->long_visibility, soon()));
    this->fixture_.loop().run_ready_tasks();
    polling.stop();
    const auto received = polling.get();
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code, errc::cancelled);
}

TYPED_TEST_P(job_queue_conformance, a_stopped_long_poll_leaves_the_job_to_another) {
    auto stopped =
        this->fixture_.loop().start(this->queue().receive(1, this->long_visibility, soon()));
    auto staying =
        this->fixture_.loop().start(this->queue().receive(1, this->long_visibility, soon()));
    this->fixture_.loop().run_ready_tasks();
    stopped.stop();
    this->enqueue("job-1");
    const auto received = staying.get();
    ASSERT_TRUE(received);
    EXPECT_EQ(received->size(), 1u);
}

TYPED_TEST_P(job_queue_conformance, a_passed_deadline_changes_nothing) {
    const auto job = this->make_job("job-1");
    auto& queue = this->queue();
    EXPECT_EQ(this->code_of(this->run(queue.enqueue(job, passed()))), errc::deadline_exceeded);
    EXPECT_EQ(this->depth().visible, 0);
    this->enqueue("job-2");
    const auto got = this->take_one();
    EXPECT_EQ(this->code_of(this->run(queue.acknowledge(got.receipt, passed()))),
              errc::deadline_exceeded);
    EXPECT_EQ(this->depth().in_flight, 1);
    EXPECT_FALSE(this->run(queue.measure(passed())));
}

TYPED_TEST_P(job_queue_conformance, refuses_negative_and_endless_visibility) {
    for (const milliseconds visibility : {milliseconds(-1), milliseconds(std::chrono::hours(13))}) {
        const auto refused = this->run(this->queue().receive(1, visibility, after(seconds(0))));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, errc::invalid_argument);
    }
}

REGISTER_TYPED_TEST_SUITE_P(
    job_queue_conformance, delivers_what_was_enqueued_with_every_field,
    carries_the_largest_async_payload, refuses_a_job_id_that_is_queued_already,
    delivers_each_visible_job_once_and_at_most_max_at_a_time, receive_takes_one_to_ten_jobs,
    an_acknowledged_job_never_comes_back,
    a_job_comes_back_after_its_visibility_with_one_attempt_more, a_newer_delivery_voids_the_receipt,
    a_receipt_that_was_never_issued_is_void, acknowledging_twice_finds_nothing,
    extending_keeps_a_job_from_others_for_longer, a_released_job_is_visible_again_at_once,
    a_job_that_was_not_started_gets_its_attempt_back,
    a_release_with_a_delay_hides_the_job_that_long,
    used_up_attempts_move_a_job_to_the_unsettled_dead, a_buried_job_is_dead_and_needs_no_settling,
    measures_visible_delivered_and_dead_jobs, a_long_poll_returns_nothing_at_its_deadline,
    an_enqueue_ends_a_long_poll, every_long_poll_gets_its_job, a_release_ends_a_long_poll,
    a_visibility_timeout_ends_a_long_poll_that_began_before, stop_ends_a_long_poll_with_cancelled,
    a_stopped_long_poll_leaves_the_job_to_another, a_passed_deadline_changes_nothing,
    refuses_negative_and_endless_visibility);

}  // namespace hearth::test
