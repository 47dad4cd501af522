#include "service_watch.h"

#include <gtest/gtest.h>

#include "tests/support/test_ring.h"

// What /health shows of the services is for anybody who can reach the port.

namespace hearth {
namespace {

task<result<>> say(const result<>& answer) {
    co_return answer;
}

service_probe probe_of(std::string service, const result<>& answer) {
    return {.service = std::move(service),
            .target = "somewhere",
            .needs = "a right",
            .ask = [&answer](deadline) {
                return say(answer);
            }};
}

TEST(service_watch, tells_kinds_and_not_what_a_service_said) {
    test::test_ring loop;
    result<> sqs = fail(errc::permission_denied, "arn:aws:iam::123456789012:role/x may not");
    result<> s3;
    service_watch watch({probe_of("SQS", sqs), probe_of("S3", s3)});
    loop.run(watch.look());
    EXPECT_EQ(watch.trouble(), "SQS: permission_denied");
    s3 = fail(errc::unavailable, "host not found");
    loop.run(watch.look());
    EXPECT_EQ(watch.trouble(), "SQS: permission_denied; S3: unavailable");
}

TEST(service_watch, is_silent_about_services_that_answer_again) {
    test::test_ring loop;
    result<> sqs = fail(errc::unavailable, "host not found");
    service_watch watch({probe_of("SQS", sqs)});
    loop.run(watch.look());
    EXPECT_FALSE(watch.trouble().empty());
    sqs = {};
    loop.run(watch.look());
    EXPECT_EQ(watch.trouble(), "");
}

}  // namespace
}  // namespace hearth
