// Which jobs an intake has in hand, and when one's turn comes.

#include <gtest/gtest.h>

#include "base/concat.h"
#include "coro/event.h"
#include "tests/unit/worker/intake_fixture.h"

namespace hearth::worker {
namespace {

using faas::invocation_status;
using test::scripted_invoker;
using test::soon;
using intake_turns_test = test::intake_fixture;

task<void> wait(milliseconds time) {
    EXPECT_TRUE(co_await sleep_until(after(time)));
}

TEST_F(intake_turns_test, a_job_is_recorded_as_running_once_it_has_run_for_a_while) {
    event go_on;
    invoker_.script = [&go_on](const faas::invocation&) -> task<result<faas::outcome>> {
        EXPECT_TRUE(co_await go_on.wait(soon()));
        co_return scripted_invoker::succeeding("null");
    };
    enqueue("job-1");
    start({.mark_after = milliseconds(2)});
    until([&] { return record_of("job-1").status == invocation_status::running; });
    EXPECT_EQ(record_of("job-1").attempts, 1);
    go_on.set();
    until([&] { return record_of("job-1").status == invocation_status::succeeded; });
}

TEST_F(intake_turns_test, a_job_that_ends_at_once_is_not_recorded_as_running) {
    enqueue("job-1");
    start();
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(log_.marked, 0);
}

TEST_F(intake_turns_test, who_asks_between_two_attempts_sees_the_first) {
    invoker_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return scripted_invoker::failing("E");
    };
    enqueue("job-1");
    start();
    until([&] { return !queue_.releases.empty(); });
    EXPECT_EQ(record_of("job-1").status, invocation_status::running);
    EXPECT_GE(record_of("job-1").attempts, 1);
}

TEST_F(intake_turns_test, takes_short_jobs_ahead_and_returns_them_unstarted_when_receiving_stops) {
    event go_on;
    invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        if (invoker_.job_ids.size() > 1) {
            EXPECT_TRUE(co_await go_on.wait(soon()));
        }
        co_return scripted_invoker::succeeding("null");
    };
    enqueue("job-0");
    start({.concurrency = 1});
    until([&] { return queue_.acknowledged == 1; });  // a short one: the pace is known
    for (int i = 1; i <= 5; ++i) {
        enqueue(concat("job-", i));
    }
    until([&] { return depth().in_flight == 5; });
    until([&] { return invoker_.job_ids.size() == 2; });
    intake_->stop_receiving();
    until([&] { return queue_.releases.size() == 4; });
    for (const auto& each : queue_.releases) {
        EXPECT_EQ(each.delay, milliseconds(0));
        EXPECT_FALSE(each.counted);
    }
    EXPECT_EQ(invoker_.job_ids.size(), 2u);
    go_on.set();
    finish();
    EXPECT_EQ(queue_.acknowledged, 2);
}

TEST_F(intake_turns_test, a_caller_that_waited_too_long_for_its_turn_is_told_so) {
    event go_on;
    hold("slow", go_on);
    enqueue("short");
    start({.concurrency = 1});
    until([&] { return queue_.acknowledged == 1; });
    enqueue("slow");
    until([&] { return invoker_.job_ids.size() == 2; });
    faas::job call{"call", "request-1", "function-1", "{}"};
    call.caller_deadline = wall_clock_ms() + 20;
    ASSERT_TRUE(loop_.run(real_queue_.enqueue(call, soon())));
    until([&] { return record_of("call").status == invocation_status::failed; });
    EXPECT_TRUE(record_of("call").end.not_started);
    go_on.set();
}

TEST_F(intake_turns_test, runs_no_more_jobs_at_once_than_it_may) {
    event done;
    std::size_t running = 0;
    std::size_t most = 0;
    invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        most = std::max(most, ++running);
        [[maybe_unused]] const auto released = co_await done.wait();
        --running;
        co_return scripted_invoker::succeeding("null");
    };
    for (int i = 0; i < 20; ++i) {
        enqueue("job-" + std::to_string(i));
    }
    start({.concurrency = 3});
    until([&] { return running == 3; });
    done.set();
    until([&] { return queue_.acknowledged == 20; });
    EXPECT_EQ(most, 3u);
    EXPECT_EQ(invoker_.job_ids.size(), 20u);
}

TEST_F(intake_turns_test, a_job_that_ended_elsewhere_while_it_waited_is_not_run) {
    event go_on;
    hold("slow", go_on);
    enqueue("short");
    start({.concurrency = 1, .turn_wait = milliseconds(10'000)});
    until([&] { return queue_.acknowledged == 1; });
    enqueue("slow");
    until([&] { return invoker_.job_ids.size() == 2; });
    enqueue("waiting");
    until([&] { return depth().in_flight == 2; });
    faas::invocation_record done;
    done.job_id = "waiting";
    done.status = invocation_status::succeeded;
    ASSERT_TRUE(loop_.run(real_log_.finish(done, soon())));
    loop_.run(wait(milliseconds(300)));  // long enough to ask again
    go_on.set();
    until([&] { return queue_.acknowledged == 3; });
    EXPECT_EQ(invoker_.job_ids.size(), 2u);
    EXPECT_EQ(intake_->statistics().duplicates, 1u);
}

TEST_F(intake_turns_test, a_job_whose_turn_does_not_come_goes_back_for_others) {
    event go_on;
    hold("slow", go_on);
    enqueue("short");
    start({.concurrency = 1, .turn_wait = milliseconds(20)});
    until([&] { return queue_.acknowledged == 1; });
    enqueue("slow");
    until([&] { return invoker_.job_ids.size() == 2; });
    enqueue("waiting");
    until([&] { return !queue_.releases.empty(); });
    EXPECT_FALSE(queue_.releases.front().counted);
    go_on.set();
    until([&] { return queue_.acknowledged == 3; });
    EXPECT_EQ(record_of("waiting").attempts, 1);
}

TEST_F(intake_turns_test, a_second_delivery_of_a_job_in_hand_does_not_run) {
    event go_on;
    invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        EXPECT_TRUE(co_await go_on.wait(soon()));
        co_return scripted_invoker::succeeding("null");
    };
    enqueue("job-1");
    start({.visibility = milliseconds(3'600'000)});
    until([&] { return invoker_.job_ids.size() == 1; });
    passed_ += milliseconds(3'600'001);  // as if its extensions had not come through
    until([&] { return intake_->statistics().received == 2; });
    until([&] { return intake_->statistics().duplicates == 1; });
    go_on.set();
    until([&] { return record_of("job-1").status == invocation_status::succeeded; });
    EXPECT_EQ(invoker_.job_ids.size(), 1u);
}

// Its extensions did not come through for as long as its visibility, and the queue gives it to the
// very worker that runs it.
TEST_F(intake_turns_test,
       a_job_that_is_delivered_again_while_it_runs_is_kept_and_never_dies_of_it) {
    event go_on;
    hold("job-1", go_on);
    queue_.unreachable = 3;
    enqueue("job-1");
    start({.visibility = milliseconds(600)});  // far above a slow disk's commit
    until([&] { return intake_->statistics().duplicates == 1; });
    until([&] { return queue_.kept >= 4; });  // longer than its visibility
    EXPECT_EQ(depth().in_flight, 1);
    EXPECT_EQ(depth().dead, 0);
    go_on.set();
    until([&] { return record_of("job-1").status == invocation_status::succeeded; });
    until([&] { return depth().in_flight == 0; });
    EXPECT_EQ(depth().visible + depth().dead, 0) << "settled by the newest of its deliveries";
    EXPECT_EQ(intake_->statistics().received, 2u);
    EXPECT_EQ(invoker_.job_ids.size(), 1u);
}

}  // namespace
}  // namespace hearth::worker
