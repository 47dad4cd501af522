// What the invocation log on DynamoDB does beyond its port's promises.

#include <gtest/gtest.h>

#include "tests/port/aws/fixtures.h"

namespace hearth::test {
namespace {

using faas::invocation_status;

class aws_invocation_log : public testing::Test {
protected:
    void SetUp() override {
        if (const auto missing = aws_log_fixture::missing(); !missing.empty()) {
            GTEST_SKIP() << missing;
        }
        home_.emplace();
    }
    static faas::invocation_record make_record(std::string_view id, invocation_status status) {
        faas::invocation_record record;
        record.job_id = id;
        record.request_id = "request-1";
        record.function_id = "function-1";
        record.status = status;
        record.end.status = status;
        return record;
    }
    static faas::invocation_record large_record(std::string_view id) {
        auto record = make_record(id, invocation_status::succeeded);
        record.end.result_json = "\"" + std::string(1u << 20, 'x') + "\"";
        return record;
    }
    template <class T>
    T run(task<T> work) {
        return home_->loop().run(std::move(work));
    }
    std::vector<std::string> blobs() {
        return run(home_->bucket().list("records/", "", 1000, soon())).value();
    }

    std::optional<aws_log_fixture> home_;
};

TEST_F(aws_invocation_log, a_record_that_has_expired_is_gone_before_it_is_deleted) {
    auto record = make_record("job-1", invocation_status::succeeded);
    record.created_at = wall_clock_ms() - milliseconds(std::chrono::hours(10 * 24)).count();
    ASSERT_TRUE(run(home_->port().finish(record, soon())));
    home_->pass(std::chrono::hours(7 * 24 - 1));
    EXPECT_TRUE(run(home_->port().get("job-1", soon())));
    home_->pass(std::chrono::hours(1) + std::chrono::seconds(1));
    EXPECT_EQ(run(home_->port().get("job-1", soon())).error().code, errc::not_found);
    EXPECT_EQ(run(home_->port().ended({"job-1"}, soon())), std::vector<bool>{false});
}

TEST_F(aws_invocation_log, a_job_is_queued_from_the_moment_its_id_was_given_out) {
    const std::string id = home_->ids().make();
    const auto stored = run(home_->port().get(id, soon()));
    ASSERT_TRUE(stored) << stored.error().message;
    EXPECT_EQ(stored->status, invocation_status::queued);
    EXPECT_EQ(stored->created_at, home_->ids().issued_at(id));
    EXPECT_EQ(run(home_->port().get(make_uuid(), soon())).error().code, errc::not_found);
}

TEST_F(aws_invocation_log, a_job_that_has_ended_is_never_taken_for_a_queued_one) {
    const std::string id = home_->ids().make();
    auto record = make_record(id, invocation_status::succeeded);
    record.created_at = *home_->ids().issued_at(id);
    ASSERT_TRUE(run(home_->port().finish(record, soon())));
    home_->pass(std::chrono::hours(14 * 24) - std::chrono::minutes(1));
    EXPECT_EQ(run(home_->port().get(id, soon()))->status, invocation_status::succeeded);
    home_->pass(std::chrono::minutes(2));
    EXPECT_EQ(run(home_->port().get(id, soon())).error().code, errc::not_found);
}

TEST_F(aws_invocation_log, the_loser_of_two_large_outcomes_leaves_no_object_behind) {
    ASSERT_EQ(run(home_->port().finish(large_record("job-1"), soon())), true);
    EXPECT_EQ(blobs().size(), 1u);
    ASSERT_EQ(run(home_->port().finish(large_record("job-1"), soon())), false);
    EXPECT_EQ(blobs().size(), 1u);
}

TEST_F(aws_invocation_log, many_old_records_are_deleted_with_their_objects) {
    for (int i = 0; i < 60; ++i) {
        auto record = i == 0 ? large_record("job-0")
                             : make_record(concat("job-", i), invocation_status::succeeded);
        record.updated_at = 1'000;
        ASSERT_TRUE(run(home_->port().finish(record, soon())));
    }
    EXPECT_EQ(run(home_->port().expire(2'000, soon())), 60);
    EXPECT_TRUE(blobs().empty());
}

TEST_F(aws_invocation_log, an_outcome_without_its_object_is_corrupt_not_absent) {
    ASSERT_TRUE(run(home_->port().finish(large_record("job-1"), soon())));
    ASSERT_TRUE(run(home_->bucket().remove(blobs().front(), soon())));
    EXPECT_EQ(run(home_->port().get("job-1", soon())).error().code, errc::corrupt);
}

TEST_F(aws_invocation_log, a_missing_table_is_unavailable_not_a_missing_record) {
    aws::blobs none(home_->bucket(), "records/");
    aws::invocation_log wrong(home_->dynamodb(), none, {.table_name = "absent"});
    EXPECT_EQ(run(wrong.get("job-1", soon())).error().code, errc::unavailable);
}

}  // namespace
}  // namespace hearth::test
