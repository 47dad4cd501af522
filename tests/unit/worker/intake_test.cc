#include "worker/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coro/event.h"
#include "tests/unit/worker/intake_fixture.h"

namespace hearth::worker {
namespace {

using faas::invocation_status;
using test::scripted_invoker;
using test::soon;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using intake_test = test::intake_fixture;

TEST_F(intake_test, a_job_that_succeeds_is_recorded_published_and_acknowledged) {
    invoker_.script = [](const faas::invocation& call) -> task<result<faas::outcome>> {
        EXPECT_EQ(call.event, "{}");
        EXPECT_EQ(call.request_id, "request-1");
        EXPECT_EQ(call.target->id, "function-1");
        co_return scripted_invoker::succeeding("[1]");
    };
    auto waiting = loop_.start(bus_.wait("job-1", soon()));
    loop_.run_ready_tasks();
    enqueue("job-1");
    start();
    const auto told = waiting.get();
    ASSERT_TRUE(told);
    EXPECT_EQ(told->end.result_json, "[1]");
    until([&] { return queue_.acknowledged == 1; });
    const auto record = record_of("job-1");
    EXPECT_EQ(record.status, invocation_status::succeeded);
    EXPECT_EQ(record.attempts, 1);
    EXPECT_EQ(record.end.result_json, "[1]");
    EXPECT_EQ(depth().visible + depth().in_flight, 0);
    EXPECT_EQ(intake_->statistics().succeeded, 1u);
}

TEST_F(intake_test, a_job_whose_outcome_cannot_be_recorded_is_not_acknowledged_and_comes_back) {
    log_.failures = 3;
    enqueue("job-1");
    start();
    until([&] { return intake_->statistics().errors == 3; });
    EXPECT_EQ(queue_.acknowledged, 0);
    EXPECT_EQ(record_of("job-1").status, invocation_status::queued);
    passed_ += milliseconds(31'000);  // its visibility timeout
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(record_of("job-1").status, invocation_status::succeeded);
    EXPECT_EQ(record_of("job-1").attempts, 2);
    EXPECT_EQ(invoker_.job_ids.size(), 2u);
}

TEST_F(intake_test, an_outcome_that_cannot_be_recorded_at_once_is_recorded_without_another_run) {
    log_.failures = 2;
    enqueue("job-1");
    start();
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(record_of("job-1").status, invocation_status::succeeded);
    EXPECT_EQ(invoker_.job_ids.size(), 1u);
}

TEST_F(intake_test, a_job_whose_outcome_stands_is_acknowledged_unrun) {
    enqueue("job-1");
    faas::invocation_record done;
    done.job_id = "job-1";
    done.function_id = "function-1";
    done.status = invocation_status::succeeded;
    done.end = scripted_invoker::succeeding("\"first\"");
    ASSERT_TRUE(loop_.run(real_log_.finish(done, soon())));
    start();
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_THAT(invoker_.job_ids, IsEmpty());
    EXPECT_EQ(record_of("job-1").end.result_json, "\"first\"");
    EXPECT_EQ(intake_->statistics().duplicates, 1u);
}

TEST_F(intake_test, the_first_outcome_wins_and_a_later_failure_does_not_bury_the_job) {
    // While the last attempt runs, another worker's attempt succeeds.
    invoker_.script = [this](const faas::invocation& call) -> task<result<faas::outcome>> {
        if (invoker_.job_ids.size() == 3) {
            faas::invocation_record done;
            done.job_id = call.job_id;
            done.function_id = "function-1";
            done.status = invocation_status::succeeded;
            done.end = scripted_invoker::succeeding("\"theirs\"");
            EXPECT_TRUE(co_await real_log_.finish(done, soon()));
        }
        co_return scripted_invoker::failing("E");
    };
    enqueue("job-1");
    start();
    until([&] { return queue_.acknowledged + queue_.buried > 0; });
    EXPECT_EQ(queue_.buried, 0);
    EXPECT_EQ(record_of("job-1").end.result_json, "\"theirs\"");
    EXPECT_EQ(intake_->statistics().dead, 0u);
}

TEST_F(intake_test, a_failing_job_is_retried_with_growing_pauses_and_is_dead_after_three) {
    invoker_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return scripted_invoker::failing("ValueError");
    };
    enqueue("job-1");
    start({.retry_base = milliseconds(4)});
    until([&] { return queue_.buried == 1; });
    EXPECT_EQ(invoker_.job_ids.size(), 3u);
    ASSERT_EQ(queue_.releases.size(), 2u);
    EXPECT_EQ(queue_.releases[0].delay, milliseconds(4));
    EXPECT_EQ(queue_.releases[1].delay, milliseconds(8));
    EXPECT_TRUE(queue_.releases[0].counted && queue_.releases[1].counted);
    const auto record = record_of("job-1");
    EXPECT_EQ(record.status, invocation_status::dead);
    EXPECT_EQ(record.attempts, 3);
    EXPECT_EQ(record.end.error_type, "ValueError");
    EXPECT_EQ(depth().dead, 1);
    EXPECT_EQ(intake_->statistics().dead, 1u);
    finish();
    EXPECT_THAT(loop_.run(real_queue_.unsettled_dead(10, soon())).value(), IsEmpty());
}

TEST_F(intake_test, the_pause_has_a_ceiling) {
    invoker_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return scripted_invoker::failing("E");
    };
    enqueue("job-1");
    start({.retry_base = milliseconds(4), .retry_max = milliseconds(5)});
    until([&] { return queue_.buried == 1; });
    EXPECT_EQ(queue_.releases[1].delay, milliseconds(5));
}

TEST_F(intake_test, a_job_that_the_invoker_refuses_returns_without_counting_the_attempt) {
    int refusals = 5;
    invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        if (refusals-- > 0) {
            co_return fail(errc::limit_exceeded, "the function's queue is full");
        }
        co_return scripted_invoker::succeeding("null");
    };
    enqueue("job-1");
    start();
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(queue_.releases.size(), 5u);
    EXPECT_FALSE(queue_.releases.front().counted);
    EXPECT_EQ(record_of("job-1").attempts, 1) << "only the one that ran";
}

TEST_F(intake_test, what_keeps_a_job_from_being_begun_is_no_attempt_of_it) {
    int troubles = 2;
    invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        if (troubles-- > 0) {
            auto end = scripted_invoker::failing("Sandbox.StartFailed");
            end.not_started = end.host_trouble = true;
            co_return end;
        }
        co_return scripted_invoker::succeeding("null");
    };
    enqueue("job-1");
    start({.trouble_pause = milliseconds(4)});
    until([&] { return queue_.releases.size() == 1; });
    EXPECT_FALSE(intake_->trouble().empty());
    EXPECT_FALSE(queue_.releases.front().counted);
    EXPECT_EQ(queue_.releases.front().delay, milliseconds(4));
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(queue_.releases.size(), 2u);
    EXPECT_EQ(record_of("job-1").attempts, 1) << "only the one that ran";
    EXPECT_TRUE(intake_->trouble().empty());
}

TEST_F(intake_test, a_log_that_is_away_costs_a_job_no_attempt) {
    log_.unread = 2;
    enqueue("job-1");
    start({.trouble_pause = milliseconds(4)});
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(record_of("job-1").status, invocation_status::succeeded);
    EXPECT_EQ(record_of("job-1").attempts, 1);
    EXPECT_EQ(invoker_.job_ids.size(), 1u);
}

TEST_F(intake_test, trouble_that_has_passed_is_not_told_for_ever_where_no_job_comes) {
    log_.unread = 1;
    enqueue("job-1");
    // Nobody brings the job back here: as if another worker had taken it.
    start({.trouble_pause = milliseconds(3'600'000)});
    until([&] { return queue_.releases.size() == 1; });
    EXPECT_FALSE(intake_->trouble().empty());
    const int polls = queue_.received_polls;
    until([&] { return queue_.received_polls >= polls + 2; });
    EXPECT_FALSE(intake_->trouble().empty()) << "its job is still kept from the others";
    finish();
    start({.trouble_pause = milliseconds(40)});
    log_.unread = 1;
    enqueue("job-2");
    until([&] { return queue_.releases.size() == 2; });
    EXPECT_FALSE(intake_->trouble().empty());
    auto taken = loop_.run(real_queue_.receive(1, milliseconds(3'600'000), soon()));
    ASSERT_TRUE(taken);
    until([&] { return intake_->trouble().empty(); });
    EXPECT_TRUE(invoker_.job_ids.empty());
}

TEST_F(intake_test, a_job_of_a_deleted_function_fails_for_good) {
    enqueue("job-1", "function-gone");
    start();
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(record_of("job-1").status, invocation_status::failed);
    EXPECT_EQ(record_of("job-1").end.error_type, faas::error_type::code_unavailable);
    EXPECT_THAT(invoker_.job_ids, IsEmpty());
    EXPECT_EQ(intake_->statistics().succeeded, 0u);
    EXPECT_EQ(intake_->statistics().failed, 1u);
}

TEST_F(intake_test, visibility_is_extended_as_long_as_the_job_runs_and_no_longer) {
    event done;
    invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        [[maybe_unused]] const auto released = co_await done.wait();
        co_return scripted_invoker::succeeding("null");
    };
    enqueue("job-1");
    start({.visibility = milliseconds(600)});  // far above a slow disk's commit
    until([&] { return queue_.extended >= 2; });
    done.set();
    until([&] { return queue_.acknowledged == 1; });
    const int extended = queue_.extended;
    enqueue("job-2");
    until([&] { return queue_.acknowledged == 2; });
    EXPECT_LE(queue_.extended, extended + 1);
    EXPECT_EQ(invoker_.job_ids.size(), 2u) << "never delivered twice";
}

TEST_F(intake_test, goes_on_after_the_queue_could_not_be_reached) {
    queue_.failures = 1;
    enqueue("job-1");
    start();
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(intake_->statistics().errors, 1u);
}

TEST_F(intake_test, stopping_lets_a_running_job_end_and_records_its_success) {
    event began;
    event done;
    invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        began.set();
        EXPECT_TRUE(co_await done.wait()) << "the stop does not reach the call";
        co_return scripted_invoker::succeeding("null");
    };
    enqueue("job-1");
    start();
    until([&] { return began.is_set(); });
    intake_->stop_receiving();
    loop_.run_ready_tasks();
    done.set();
    running_->get();
    running_.reset();
    EXPECT_EQ(record_of("job-1").status, invocation_status::succeeded);
    EXPECT_EQ(queue_.acknowledged, 1);
}

TEST_F(intake_test, a_job_that_fails_while_stopping_returns_to_the_queue_at_once) {
    event began;
    event done;
    invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        began.set();
        [[maybe_unused]] const auto released = co_await done.wait();
        co_return scripted_invoker::failing("Runtime.ExitError");
    };
    enqueue("job-1");
    start();
    until([&] { return began.is_set(); });
    intake_->stop_receiving();
    done.set();
    running_->get();
    running_.reset();
    ASSERT_EQ(queue_.releases.size(), 1u);
    EXPECT_EQ(queue_.releases[0].delay, milliseconds(0));
    EXPECT_TRUE(queue_.releases[0].counted) << "it may have run";
    EXPECT_EQ(depth().visible, 1);
    EXPECT_FALSE(is_final(record_of("job-1").status));
}

TEST_F(intake_test, a_job_that_arrives_as_receiving_stops_returns_unrun) {
    enqueue("job-1");
    start();
    until([&] { return queue_.received_polls == 1; });
    intake_->stop_receiving();  // while the poll that takes the job is under way
    running_->get();
    running_.reset();
    EXPECT_THAT(invoker_.job_ids, IsEmpty());
    EXPECT_EQ(depth().visible, 1);
    EXPECT_EQ(depth().in_flight, 0);
}

TEST_F(intake_test, stops_at_once_while_it_waits_for_jobs) {
    start({.poll = seconds(20)});
    until([&] { return queue_.received_polls == 1; });
    finish();
    EXPECT_THAT(queue_.releases, IsEmpty());
}

TEST_F(intake_test, jobs_that_ran_out_of_attempts_unseen_are_recorded_as_dead) {
    constexpr int count = 25;  // several pages
    for (int i = 0; i < count; ++i) {
        enqueue("job-" + std::to_string(i));
    }
    // Deliveries that nobody settles, as of a worker that crashes each time.
    for (int attempt = 0; attempt < faas::attempts_max; ++attempt) {
        for (int i = 0; i < count; i += 10) {
            ASSERT_TRUE(loop_.run(real_queue_.receive(10, milliseconds(1'000), soon())));
        }
        passed_ += milliseconds(2'000);
    }
    // The next receive moves them to the dead letters.
    ASSERT_TRUE(loop_.run(real_queue_.receive(10, milliseconds(1'000), after(milliseconds(1)))));
    start();
    until([&] { return intake_->statistics().dead == count; });
    finish();
    EXPECT_EQ(record_of("job-7").status, invocation_status::dead);
    EXPECT_EQ(record_of("job-7").attempts, faas::attempts_max);
    EXPECT_THAT(loop_.run(real_queue_.unsettled_dead(10, soon())).value(), IsEmpty());
    EXPECT_THAT(invoker_.job_ids, IsEmpty());
}

}  // namespace
}  // namespace hearth::worker
