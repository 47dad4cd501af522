#include "worker/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"
#include "coro/event.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/unit/worker/scripted_invoker.h"
#include "tests/unit/worker/spying_ports.h"

// Real queue, table, log and bus; only the invoker is scripted, and the queue's clock can be moved.

namespace hearth::worker {
namespace {

using faas::invocation_status;
using test::scripted_invoker;
using test::soon;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class intake_test : public test::embedded_fixture, public ::testing::Test {
protected:
    void SetUp() override {
        faas::function known;
        known.id = "function-1";
        known.name = "probe";
        known.runtime = "python";
        known.handlers = {"main.handler"};
        known.handler = "main.handler";
        known.code_file = "main.py";
        known.code_sha256 = std::string(64, 'a');
        ASSERT_TRUE(loop_.run(table_.create(known, soon())));
    }
    void TearDown() override { finish(); }

    void enqueue(const std::string& job_id, const std::string& function_id = "function-1") {
        faas::invocation_record record;
        record.job_id = job_id;
        record.function_id = function_id;
        record.created_at = record.updated_at = wall_clock_ms();
        ASSERT_TRUE(loop_.run(real_log_.create(record, soon())));
        ASSERT_TRUE(
            loop_.run(real_queue_.enqueue({job_id, "request-1", function_id, "{}"}, soon())));
    }
    void start(intake_options options = {}) {
        options.poll = milliseconds(20);
        options.retry_base = std::min(options.retry_base, milliseconds(4));
        intake_ = std::make_unique<job_intake>(queue_, table_, log_, bus_, invoker_, options);
        running_.emplace(loop_.start(intake_->run()));
    }
    // As at shutdown.
    void finish() {
        if (running_) {
            intake_->stop_receiving();
            running_->get();
            running_.reset();
        }
    }
    void until(const std::function<bool()>& holds) { loop_.run_until(holds); }
    faas::invocation_record record_of(const std::string& job_id) {
        return loop_.run(real_log_.get(job_id, soon())).value_or(faas::invocation_record{});
    }
    faas::job_queue::depth depth() {
        return loop_.run(real_queue_.measure(soon())).value_or(faas::job_queue::depth{-1, -1, -1});
    }

    milliseconds passed_{0};
    embedded::time_source real_time_ = embedded::steady_wall_clock();
    embedded::job_queue real_queue_{*database_, embedded::job_queue::jobs_max_default, [this] {
                                        return real_time_() + passed_.count();
                                    }};
    embedded::function_table table_{*database_};
    embedded::invocation_log real_log_{*database_};
    embedded::result_bus bus_;
    test::spying_queue queue_{real_queue_};
    test::spying_log log_{real_log_};
    scripted_invoker invoker_;
    std::unique_ptr<job_intake> intake_;
    std::optional<test::test_loop::pending<void>> running_;
};

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
    log_.failures = 1;
    enqueue("job-1");
    start();
    until([&] { return intake_->statistics().errors == 1; });
    EXPECT_EQ(queue_.acknowledged, 0);
    EXPECT_EQ(record_of("job-1").status, invocation_status::queued);
    passed_ += milliseconds(31'000);  // its visibility timeout
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(record_of("job-1").status, invocation_status::succeeded);
    EXPECT_EQ(record_of("job-1").attempts, 2);
    EXPECT_EQ(invoker_.job_ids.size(), 2u);
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

TEST_F(intake_test, runs_no_more_jobs_at_once_than_it_may) {
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

TEST_F(intake_test, a_job_is_recorded_as_running_once_it_has_run_for_a_while) {
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

TEST_F(intake_test, a_job_that_ends_at_once_is_not_recorded_as_running) {
    enqueue("job-1");
    start();
    until([&] { return queue_.acknowledged == 1; });
    EXPECT_EQ(log_.marked, 0);
}

TEST_F(intake_test, who_asks_between_two_attempts_sees_the_first) {
    invoker_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return scripted_invoker::failing("E");
    };
    enqueue("job-1");
    start();
    until([&] { return !queue_.releases.empty(); });
    EXPECT_EQ(record_of("job-1").status, invocation_status::running);
    EXPECT_GE(record_of("job-1").attempts, 1);
}

TEST_F(intake_test, takes_short_jobs_ahead_and_returns_them_unstarted_when_receiving_stops) {
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

TEST_F(intake_test, a_caller_that_waited_too_long_for_its_turn_is_told_so) {
    event go_on;
    invoker_.script = [&](const faas::invocation& call) -> task<result<faas::outcome>> {
        if (call.job_id == "slow") {
            EXPECT_TRUE(co_await go_on.wait(soon()));
        }
        co_return scripted_invoker::succeeding("null");
    };
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
