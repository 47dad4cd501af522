#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "faas/ports.h"
#include "tests/port/missing.h"
#include "tests/support/test_executor.h"

// What every invocation log must hold. The fixture is default-constructible, starts empty and has
//     test_executor& loop();
//     faas::invocation_log& port();

namespace hearth::test {

template <class Fixture>
class invocation_log_conformance : public ::testing::Test {
protected:
    void SetUp() override {
        if (const auto missing = missing_for(fixture_); !missing.empty()) {
            GTEST_SKIP() << missing;
        }
    }
    using status = faas::invocation_status;
    static constexpr epoch_ms created_at = 1'700'000'000'000;

    static faas::invocation_record make_record(std::string_view id, status now = status::queued) {
        faas::invocation_record record;
        record.job_id = id;
        record.request_id = concat("request-", id);
        record.function_id = "function-1";
        record.status = now;
        record.created_at = created_at;
        record.updated_at = created_at;
        return record;
    }
    static faas::invocation_record make_success(std::string_view id) {
        auto record = make_record(id, status::succeeded);
        record.attempts = 2;
        record.updated_at = created_at + 500;
        record.end.status = status::succeeded;
        record.end.result_json = R"({"answer":42,"text":"ünï"})";
        record.end.logs = std::string("line 1\nnul \0 and \xff bytes\n", 25);
        record.end.duration_ms = 12.75;
        record.end.cpu_ms = 3.25;
        record.end.init_ms = 101.5;
        record.end.cold_start = true;
        record.end.memory_mb_peak = 77;
        return record;
    }
    template <class T>
    T run(task<T> work) {
        return fixture_.loop().run(std::move(work));
    }
    faas::invocation_log& log() { return fixture_.port(); }
    void create(std::string_view id) {
        const auto record = make_record(id);
        const auto created = run(log().create(record, soon()));
        ASSERT_TRUE(created) << created.error().message;
    }
    faas::invocation_record get(std::string_view id) {
        auto stored = run(log().get(id, soon()));
        EXPECT_TRUE(stored) << stored.error().message;
        return stored.value_or(faas::invocation_record{});
    }
    template <class T>
    static errc code_of(const result<T>& failed) {
        return failed ? errc::internal : failed.error().code;
    }

    Fixture fixture_;
};
TYPED_TEST_SUITE_P(invocation_log_conformance);

TYPED_TEST_P(invocation_log_conformance, a_created_record_can_be_read) {
    this->create("job-1");
    const auto stored = this->get("job-1");
    EXPECT_EQ(stored.job_id, "job-1");
    EXPECT_EQ(stored.request_id, "request-job-1");
    EXPECT_EQ(stored.function_id, "function-1");
    EXPECT_EQ(stored.status, faas::invocation_status::queued);
    EXPECT_EQ(stored.attempts, 0);
    EXPECT_EQ(stored.created_at, this->created_at);
}

TYPED_TEST_P(invocation_log_conformance, creating_a_job_id_twice_is_a_conflict) {
    this->create("job-1");
    const auto again = this->make_record("job-1");
    EXPECT_EQ(this->code_of(this->run(this->log().create(again, soon()))), errc::conflict);
}

TYPED_TEST_P(invocation_log_conformance, what_is_absent_is_not_found) {
    EXPECT_EQ(this->code_of(this->run(this->log().get("absent", soon()))), errc::not_found);
}

TYPED_TEST_P(invocation_log_conformance, a_running_record_carries_its_attempt) {
    this->create("job-1");
    for (const auto* id : {"job-1", "new"}) {  // with a record and without one
        auto record = this->make_record(id, faas::invocation_status::running);
        record.attempts = 2;
        record.updated_at = 0;
        ASSERT_TRUE(this->run(this->log().mark_running(record, soon())));
        const auto stored = this->get(id);
        EXPECT_EQ(stored.status, faas::invocation_status::running);
        EXPECT_EQ(stored.function_id, "function-1");
        EXPECT_EQ(stored.attempts, 2);
        EXPECT_EQ(stored.created_at, this->created_at);
        EXPECT_GT(stored.updated_at, stored.created_at);
    }
}

TYPED_TEST_P(invocation_log_conformance, an_outcome_is_kept_with_every_field) {
    this->create("job-1");
    const auto record = this->make_success("job-1");
    const auto won = this->run(this->log().finish(record, soon()));
    ASSERT_TRUE(won);
    EXPECT_TRUE(*won);
    const auto stored = this->get("job-1");
    EXPECT_EQ(stored.status, faas::invocation_status::succeeded);
    EXPECT_EQ(stored.attempts, 2);
    EXPECT_EQ(stored.created_at, this->created_at);
    EXPECT_EQ(stored.updated_at, record.updated_at);
    EXPECT_EQ(stored.end.status, faas::invocation_status::succeeded);
    EXPECT_EQ(stored.end.result_json, record.end.result_json);
    EXPECT_EQ(stored.end.logs, record.end.logs);
    EXPECT_EQ(stored.end.duration_ms, 12.75);
    EXPECT_EQ(stored.end.cpu_ms, 3.25);
    EXPECT_EQ(stored.end.init_ms, 101.5);
    EXPECT_TRUE(stored.end.cold_start);
    EXPECT_EQ(stored.end.memory_mb_peak, 77);
    EXPECT_FALSE(stored.end.not_started);
}

TYPED_TEST_P(invocation_log_conformance, a_failure_is_kept_with_its_error) {
    for (const auto status : {faas::invocation_status::failed, faas::invocation_status::dead}) {
        auto record = this->make_record(to_string(status), status);
        record.end.status = status;
        record.end.error_type = "ValueError";
        record.end.error_message = "no such \"thing\"";
        record.end.stack_trace_json = R"(["line 1","line 2"])";
        record.end.not_started = true;
        ASSERT_TRUE(this->run(this->log().finish(record, soon())));
        const auto stored = this->get(record.job_id);
        EXPECT_EQ(stored.status, status);
        EXPECT_EQ(stored.end.error_type, record.end.error_type);
        EXPECT_EQ(stored.end.error_message, record.end.error_message);
        EXPECT_EQ(stored.end.stack_trace_json, record.end.stack_trace_json);
        EXPECT_TRUE(stored.end.not_started);
    }
}

TYPED_TEST_P(invocation_log_conformance, keeps_the_largest_result_and_log) {
    auto record = this->make_success("large");
    record.end.result_json = "\"" + std::string(faas::payload_bytes_max - 2, 'x') + "\"";
    record.end.logs = std::string(faas::log_bytes_max, 'y');
    ASSERT_TRUE(this->run(this->log().finish(record, soon())));
    const auto stored = this->get("large");
    EXPECT_EQ(stored.end.result_json, record.end.result_json);
    EXPECT_EQ(stored.end.logs, record.end.logs);
}

TYPED_TEST_P(invocation_log_conformance, an_outcome_makes_its_record_when_there_is_none) {
    const auto record = this->make_success("sync-1");
    const auto won = this->run(this->log().finish(record, soon()));
    ASSERT_TRUE(won);
    EXPECT_TRUE(*won);
    EXPECT_EQ(this->get("sync-1").request_id, "request-sync-1");
}

TYPED_TEST_P(invocation_log_conformance, the_first_outcome_stands) {
    this->create("job-1");
    const auto first = this->make_success("job-1");
    ASSERT_TRUE(this->run(this->log().finish(first, soon())));
    auto second = this->make_record("job-1", faas::invocation_status::failed);
    second.end.error_type = "Late";
    const auto won = this->run(this->log().finish(second, soon()));
    ASSERT_TRUE(won);
    EXPECT_FALSE(*won);
    const auto stored = this->get("job-1");
    EXPECT_EQ(stored.status, faas::invocation_status::succeeded);
    EXPECT_EQ(stored.end.error_type, "");
}

TYPED_TEST_P(invocation_log_conformance, an_outcome_that_nobody_waits_for_is_kept_as_any_other) {
    const auto first = this->make_success("job-1");
    const auto won = this->run(this->log().finish_behind(first, soon()));
    ASSERT_TRUE(won) << won.error().message;
    EXPECT_TRUE(*won);
    const auto again = this->run(this->log().finish_behind(first, soon()));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_FALSE(*again);
    const auto kept = this->run(this->log().get("job-1", soon()));
    ASSERT_TRUE(kept) << kept.error().message;
    EXPECT_EQ(kept->end.result_json, first.end.result_json);
}

TYPED_TEST_P(invocation_log_conformance, of_concurrent_outcomes_exactly_one_wins) {
    for (const bool recorded : {true, false}) {
        const std::string id = recorded ? "recorded" : "unrecorded";
        if (recorded) {
            this->create(id);
        }
        std::vector<faas::invocation_record> records(16, this->make_success(id));
        std::vector<test_loop::pending<result<bool>>> running;
        for (std::size_t i = 0; i < records.size(); ++i) {
            records[i].end.result_json = concat(i);
            running.push_back(this->fixture_.loop().start(this->log().finish(records[i], soon())));
        }
        int wins = 0;
        std::string winner;
        for (std::size_t i = 0; i < records.size(); ++i) {
            const auto won = running[i].get();
            ASSERT_TRUE(won);
            if (*won) {
                ++wins;
                winner = records[i].end.result_json;
            }
        }
        EXPECT_EQ(wins, 1);
        EXPECT_EQ(this->get(id).end.result_json, winner);
    }
}

TYPED_TEST_P(invocation_log_conformance, a_final_record_does_not_run_again) {
    ASSERT_TRUE(this->run(this->log().finish(this->make_success("job-1"), soon())));
    const auto again = this->make_record("job-1", faas::invocation_status::running);
    EXPECT_EQ(this->code_of(this->run(this->log().mark_running(again, soon()))), errc::conflict);
    EXPECT_EQ(this->get("job-1").status, faas::invocation_status::succeeded);
}

TYPED_TEST_P(invocation_log_conformance, tells_which_jobs_have_ended) {
    this->create("open");
    this->create("running");
    const auto running = this->make_record("running", faas::invocation_status::running);
    ASSERT_TRUE(this->run(this->log().mark_running(running, soon())));
    ASSERT_TRUE(this->run(this->log().finish(this->make_success("done"), soon())));
    ASSERT_TRUE(this->run(this->log().finish(this->make_success("done too"), soon())));
    const auto ended =
        this->run(this->log().ended({"done", "open", "absent", "done too", "running"}, soon()));
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_EQ(*ended, (std::vector<bool>{true, false, false, true, false}));
    EXPECT_EQ(this->code_of(this->run(this->log().ended({"done"}, passed()))),
              errc::deadline_exceeded);
}

TYPED_TEST_P(invocation_log_conformance, an_outcome_knows_when_its_job_was_made) {
    this->create("job-1");
    auto record = this->make_success("job-1");
    record.created_at = this->created_at;
    ASSERT_TRUE(this->run(this->log().finish(record, soon())));
    EXPECT_EQ(this->get("job-1").created_at, this->created_at);
}

TYPED_TEST_P(invocation_log_conformance, only_a_final_status_finishes) {
    const auto record = this->make_record("job-1", faas::invocation_status::running);
    EXPECT_EQ(this->code_of(this->run(this->log().finish(record, soon()))), errc::invalid_argument);
    EXPECT_EQ(this->code_of(this->run(this->log().get("job-1", soon()))), errc::not_found);
}

TYPED_TEST_P(invocation_log_conformance, expires_old_final_records_alone) {
    this->create("open");
    auto old = this->make_success("old");
    old.updated_at = this->created_at + 10;
    auto edge = this->make_success("edge");
    edge.updated_at = this->created_at + 20;
    ASSERT_TRUE(this->run(this->log().finish(old, soon())));
    ASSERT_TRUE(this->run(this->log().finish(edge, soon())));
    const auto expired = this->run(this->log().expire(this->created_at + 20, soon()));
    ASSERT_TRUE(expired);
    EXPECT_EQ(*expired, 1);
    EXPECT_EQ(this->code_of(this->run(this->log().get("old", soon()))), errc::not_found);
    EXPECT_EQ(this->get("edge").job_id, "edge");
    EXPECT_EQ(this->get("open").job_id, "open");
}

TYPED_TEST_P(invocation_log_conformance, a_passed_deadline_changes_nothing) {
    const auto record = this->make_success("job-1");
    EXPECT_EQ(this->code_of(this->run(this->log().finish(record, passed()))),
              errc::deadline_exceeded);
    EXPECT_EQ(this->code_of(this->run(this->log().get("job-1", soon()))), errc::not_found);
    EXPECT_EQ(this->code_of(this->run(this->log().get("job-1", passed()))),
              errc::deadline_exceeded);
}

REGISTER_TYPED_TEST_SUITE_P(invocation_log_conformance, a_created_record_can_be_read,
                            creating_a_job_id_twice_is_a_conflict, what_is_absent_is_not_found,
                            a_running_record_carries_its_attempt,
                            an_outcome_is_kept_with_every_field, a_failure_is_kept_with_its_error,
                            keeps_the_largest_result_and_log,
                            an_outcome_makes_its_record_when_there_is_none,
                            the_first_outcome_stands,
                            an_outcome_that_nobody_waits_for_is_kept_as_any_other,
                            of_concurrent_outcomes_exactly_one_wins,
                            a_final_record_does_not_run_again, tells_which_jobs_have_ended,
                            an_outcome_knows_when_its_job_was_made, only_a_final_status_finishes,
                            expires_old_final_records_alone, a_passed_deadline_changes_nothing);

}  // namespace hearth::test
