// The probes on stand-ins: what is set up as docs/fleet.md has it is good, and stays untouched.

#include "aws/probes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/port/aws/fixtures.h"

namespace hearth::test {
namespace {

using aws::program;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<std::string> problems(const std::vector<aws::probe>& lines) {
    std::vector<std::string> out;
    for (const auto& each : lines) {
        if (!each.seen) {
            out.push_back(concat(each.tried, " on ", each.target, ": ", each.seen.error().message));
        }
    }
    return out;
}

TEST(aws_probes_on_stand_ins, queues_are_good_and_no_message_is_sent_or_received) {
    if (const auto missing = aws_queue_fixture::missing(); !missing.empty()) {
        GTEST_SKIP() << missing;
    }
    aws_queue_fixture home("10");
    const faas::job job{"job", "request", "function", "{}"};
    ASSERT_TRUE(home.loop().run(home.port().enqueue(job, soon())));
    for (const auto asking : {program::controller, program::worker}) {
        EXPECT_THAT(problems(home.loop().run(aws::probe_queue(
                        home.sqs(), home.queue_url(), aws::queue_role::jobs, asking, soon()))),
                    SizeIs(0));
        EXPECT_THAT(problems(home.loop().run(aws::probe_queue(home.sqs(), home.dead_letter_url(),
                                                              aws::queue_role::dead_letters, asking,
                                                              soon()))),
                    SizeIs(0));
    }
    const auto depth = home.loop().run(home.port().measure(soon()));
    ASSERT_TRUE(depth);
    EXPECT_EQ(depth->visible, 1);
    EXPECT_EQ(depth->in_flight, 0);
    EXPECT_EQ(depth->dead, 0);
    const auto got = home.loop().run(home.port().receive(1, seconds(60), soon()));
    ASSERT_TRUE(got && got->size() == 1);
    EXPECT_EQ(got->front().attempts, 1) << "a probe is no attempt of a job's";
}

TEST(aws_probes_on_stand_ins, a_bucket_is_good_and_no_object_is_made) {
    if (const auto missing = aws_code_fixture::missing(); !missing.empty()) {
        GTEST_SKIP() << missing;
    }
    aws_code_fixture home;
    for (const auto asking : {program::controller, program::worker}) {
        EXPECT_THAT(problems(home.loop().run(
                        aws::probe_bucket(home.s3(), home.bucket().name(), asking, soon()))),
                    SizeIs(0));
    }
    EXPECT_THAT(home.loop().run(home.bucket().list("", "", 10, soon())).value(), SizeIs(0));
    const auto absent = home.loop().run(
        aws::probe_bucket(home.s3(), concat("absent-", make_uuid()), program::worker, soon()));
    EXPECT_THAT(problems(absent), SizeIs(1));
}

TEST(aws_probes_on_stand_ins, the_table_of_functions_is_good_and_no_item_is_made) {
    if (const auto missing = aws_table_fixture::missing(); !missing.empty()) {
        GTEST_SKIP() << missing;
    }
    aws_table_fixture home;
    for (const auto asking : {program::controller, program::worker}) {
        EXPECT_THAT(problems(home.loop().run(aws::probe_function_table(
                        home.dynamodb(), home.table_name(), asking, soon()))),
                    SizeIs(0));
    }
    aws::table items(home.dynamodb(), home.table_name());
    EXPECT_THAT(home.loop().run(items.scan({}, {}, soon())).value().items, SizeIs(0));
    EXPECT_THAT(problems(home.loop().run(aws::probe_invocation_table(
                    home.dynamodb(), home.table_name(), program::worker, soon()))),
                Contains(HasSubstr("its key is not")))
        << "the other table's name";
}

TEST(aws_probes_on_stand_ins, the_table_of_records_is_good_and_no_item_is_made) {
    if (const auto missing = aws_log_fixture::missing(); !missing.empty()) {
        GTEST_SKIP() << missing;
    }
    aws_log_fixture home;
    for (const auto asking : {program::controller, program::worker}) {
        EXPECT_THAT(problems(home.loop().run(aws::probe_invocation_table(
                        home.dynamodb(), home.table_name(), asking, soon()))),
                    SizeIs(0));
    }
    aws::table items(home.dynamodb(), home.table_name());
    EXPECT_THAT(home.loop().run(items.scan({}, {}, soon())).value().items, SizeIs(0));
}

}  // namespace
}  // namespace hearth::test
