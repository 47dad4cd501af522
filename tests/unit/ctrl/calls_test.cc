#include "ctrl/calls.h"

#include <gtest/gtest.h>

#include "tests/port/embedded_fixtures.h"
#include "tests/unit/worker/scripted_invoker.h"
#include "tests/unit/worker/spying_ports.h"

namespace hearth::ctrl {
namespace {

using faas::invocation_status;
using test::scripted_invoker;
using test::soon;

class calls_test : public test::embedded_fixture, public ::testing::Test {
protected:
    void TearDown() override { loop_.run(calls_.finish()); }

    static faas::invocation call(const std::string& job_id) {
        auto target = std::make_shared<faas::function>();
        target->id = "function-1";
        return {.job_id = job_id, .request_id = "request-1", .target = target, .event = "{}"};
    }
    // The invoker answers `end` once `release_` is set.
    void answer_late(result<faas::outcome> end) {
        invoker_.script = [this, end](const faas::invocation&) -> task<result<faas::outcome>> {
            [[maybe_unused]] const auto released = co_await release_.wait();
            co_return end;
        };
    }
    result<faas::invocation_record> status(const std::string& job_id) {
        return loop_.run(calls_.status(job_id, soon()));
    }

    embedded::job_queue real_queue_{*database_};
    embedded::invocation_log real_log_{*database_};
    test::spying_log log_{real_log_};
    scripted_invoker invoker_;
    event release_;
    calls calls_{invoker_, log_, real_queue_};
};

TEST_F(calls_test, a_call_returns_its_outcome_and_is_recorded) {
    invoker_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return scripted_invoker::succeeding("42");
    };
    const auto end = loop_.run(calls_.run(call("job-1"), soon()));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->result_json, "42");
    loop_.run(calls_.finish());
    const auto record = loop_.run(real_log_.get("job-1", soon()));
    ASSERT_TRUE(record);
    EXPECT_EQ(record->status, invocation_status::succeeded);
    EXPECT_EQ(record->end.result_json, "42");
    EXPECT_EQ(record->request_id, "request-1");
    EXPECT_EQ(record->attempts, 1);
}

TEST_F(calls_test, whoever_has_the_answer_can_ask_for_the_status_before_it_is_recorded) {
    const auto end = loop_.run(calls_.run(call("job-1"), soon()));
    ASSERT_TRUE(end);
    const auto record = status("job-1");
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_EQ(record->status, invocation_status::succeeded);
}

TEST_F(calls_test, a_call_whose_caller_gave_up_is_running_and_then_has_its_outcome) {
    answer_late(scripted_invoker::succeeding("\"late\""));
    const auto end = loop_.run(calls_.run(call("job-1"), after(milliseconds(2))));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, errc::deadline_exceeded);
    EXPECT_EQ(status("job-1")->status, invocation_status::running);
    release_.set();
    loop_.run(calls_.finish());
    EXPECT_EQ(status("job-1")->status, invocation_status::succeeded);
    EXPECT_EQ(status("job-1")->end.result_json, "\"late\"");
    EXPECT_EQ(calls_.statistics().abandoned, 1u);
}

TEST_F(calls_test, a_call_that_others_will_record_can_be_asked_for_once_its_caller_was_answered) {
    invoker_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        faas::outcome open;
        open.status = invocation_status::running;
        open.recorded = true;
        co_return open;
    };
    const auto end = loop_.run(calls_.run(call("job-1"), soon()));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, errc::deadline_exceeded);
    const auto record = loop_.run(real_log_.get("job-1", soon()));
    ASSERT_TRUE(record) << "after a restart, too";
    EXPECT_EQ(record->status, invocation_status::running);
}

TEST_F(calls_test, a_connection_that_ends_does_not_end_its_call) {
    answer_late(scripted_invoker::succeeding("1"));
    auto connection = loop_.start(calls_.run(call("job-1"), soon()));
    loop_.run_ready_tasks();
    connection.stop();
    const auto end = connection.get();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, errc::cancelled);
    EXPECT_EQ(calls_.live(), 1u) << "the call goes on";
    EXPECT_EQ(status("job-1")->status, invocation_status::running);
    release_.set();
    loop_.run(calls_.finish());
    EXPECT_EQ(status("job-1")->status, invocation_status::succeeded);
}

TEST_F(calls_test, a_call_that_the_deadline_met_in_the_queue_can_be_asked_for) {
    // The invoker ends it at the same instant as the caller's own wait.
    invoker_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return fail(errc::deadline_exceeded, "no sandbox was free in time");
    };
    const auto end = loop_.run(calls_.run(call("job-1"), soon()));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, errc::deadline_exceeded);
    for (const bool recorded : {false, true}) {
        if (recorded) {
            loop_.run(calls_.finish());
        }
        const auto record = status("job-1");
        ASSERT_TRUE(record) << record.error().message;
        EXPECT_EQ(record->status, invocation_status::failed);
        EXPECT_EQ(record->attempts, 0);
        EXPECT_EQ(record->end.error_message, "no sandbox was free in time");
    }
}

TEST_F(calls_test, a_refusal_that_the_caller_hears_of_leaves_no_record) {
    for (const errc refusal : {errc::limit_exceeded, errc::unavailable}) {
        invoker_.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
            co_return fail(refusal, "not now");
        };
        const auto end = loop_.run(calls_.run(call("job-1"), soon()));
        ASSERT_FALSE(end);
        EXPECT_EQ(end.error().code, refusal);
        loop_.run(calls_.finish());
        EXPECT_EQ(status("job-1").error().code, errc::not_found);
    }
    EXPECT_EQ(log_.finished, 0);
}

TEST_F(calls_test, a_refusal_after_the_caller_gave_up_is_recorded) {
    answer_late(fail(errc::unavailable, "the worker is shutting down"));
    ASSERT_FALSE(loop_.run(calls_.run(call("job-1"), after(milliseconds(2)))));
    release_.set();
    loop_.run(calls_.finish());
    EXPECT_EQ(status("job-1")->status, invocation_status::failed);
    EXPECT_EQ(status("job-1")->end.error_message, "the worker is shutting down");
}

TEST_F(calls_test, an_outcome_that_cannot_be_recorded_still_reaches_the_caller) {
    log_.failures = 1;
    EXPECT_TRUE(loop_.run(calls_.run(call("job-1"), soon())));
    loop_.run(calls_.finish());
    EXPECT_EQ(calls_.statistics().records_lost, 1u);
}

TEST_F(calls_test, the_status_of_an_accepted_job_is_queued) {
    ASSERT_TRUE(loop_.run(calls_.enqueue(call("job-1"), soon())));
    EXPECT_EQ(status("job-1")->status, invocation_status::queued);
    const auto delivered = loop_.run(real_queue_.receive(1, seconds(30), soon()));
    ASSERT_TRUE(delivered && delivered->size() == 1);
    EXPECT_EQ(delivered->front().content.job_id, "job-1");
    EXPECT_EQ(delivered->front().content.event, "{}");
    EXPECT_EQ(delivered->front().content.function_id, "function-1");
}

TEST_F(calls_test, a_job_that_a_full_queue_refuses_leaves_nothing_that_promises_it) {
    embedded::job_queue full(*database_, 1);
    calls limited(invoker_, log_, full);
    ASSERT_TRUE(loop_.run(limited.enqueue(call("job-1"), soon())));
    const auto refused = loop_.run(limited.enqueue(call("job-2"), soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::limit_exceeded);
    EXPECT_EQ(status("job-2").error().code, errc::not_found);
}

TEST_F(calls_test, an_unknown_job_is_not_found) {
    EXPECT_EQ(status("no-such-job").error().code, errc::not_found);
}

}  // namespace
}  // namespace hearth::ctrl
