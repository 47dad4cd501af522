// The backlog per worker, told to CloudWatch.

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/backlog_publisher.h"
#include "tests/unit/aws/services_fixture.h"

namespace hearth::aws {
namespace {

using test::form_value;

class aws_cloudwatch : public testing::Test, public test::http_fixture {
protected:
    aws_cloudwatch() {
        service_.on(method::post, "/", [this](const asked_request& asked) {
            forms_.push_back(asked.body);
            return refusing_ ? test::xml_refusal(403, "AccessDenied")
                             : response::text(200, "<PutMetricDataResponse/>");
        });
    }
    ~aws_cloudwatch() override { end(); }

    task<result<double>> measure() {
        if (!measurable_) {
            co_return fail(errc::unavailable, "the queue cannot be reached");
        }
        co_return backlog_;
    }
    backlog_publisher make() {
        return {api_,
                {.queue_url = "https://sqs.eu-west-1.amazonaws.com/123456789012/hearth-jobs",
                 .interval = milliseconds(1000)},
                [this](deadline) {
                    return measure();
                }};
    }

    test::scripted_service service_{loop()};
    fixed_credentials keys_{{"AKID", "secret", ""}};
    settings config_ = test::settings_for(service_.url());
    client api_{transport(), &keys_, config_, service::cloudwatch, test::impatient()};
    std::vector<std::string> forms_;
    double backlog_ = 2.5;
    bool measurable_ = true;
    bool refusing_ = false;
};

TEST_F(aws_cloudwatch, the_backlog_is_published_under_the_queues_name_with_the_time) {
    auto publisher = make();
    auto running = loop().start(publisher.run());
    loop().run_until([&] { return publisher.counts().published == 1; });
    running.stop();
    running.get();
    ASSERT_EQ(forms_.size(), 1u);
    const auto& form = forms_.front();
    EXPECT_EQ(form_value(form, "Action"), "PutMetricData");
    EXPECT_EQ(form_value(form, "Version"), "2010-08-01");
    EXPECT_EQ(form_value(form, "Namespace"), "Hearth");
    EXPECT_EQ(form_value(form, "MetricData.member.1.MetricName"), "BacklogPerInstance");
    EXPECT_EQ(form_value(form, "MetricData.member.1.Value"), "2.5");
    EXPECT_EQ(form_value(form, "MetricData.member.1.Unit"), "Count");
    EXPECT_EQ(form_value(form, "MetricData.member.1.Dimensions.member.1.Name"), "QueueName");
    EXPECT_EQ(form_value(form, "MetricData.member.1.Dimensions.member.1.Value"), "hearth-jobs");
    EXPECT_EQ(form_value(form, "MetricData.member.1.Timestamp").substr(0, 4),
              format_rfc3339(wall_clock_ms()).substr(0, 4));
}

TEST_F(aws_cloudwatch, what_cannot_be_measured_is_not_published) {
    measurable_ = false;
    auto publisher = make();
    auto running = loop().start(publisher.run());
    loop().run_until([&] { return publisher.counts().failed == 1; });
    running.stop();
    running.get();
    EXPECT_TRUE(forms_.empty());
}

TEST_F(aws_cloudwatch, a_refusal_ends_nothing_and_the_next_minute_is_published) {
    refusing_ = true;
    backlog_publisher publisher(api_, {.queue_url = "q", .interval = milliseconds(20)},
                                [this](deadline) { return measure(); });
    auto running = loop().start(publisher.run());
    loop().run_until([&] { return publisher.counts().failed >= 1; });
    refusing_ = false;
    loop().run_until([&] { return publisher.counts().published >= 2; });
    EXPECT_GE(forms_.size(), 2u);
}

TEST_F(aws_cloudwatch, what_is_no_number_is_not_sent) {
    cloudwatch direct(api_);
    cloudwatch::datum what;
    what.name = "x";
    what.value = std::numeric_limits<double>::infinity();
    const auto put = loop().run(direct.put("Hearth", what, soon()));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, errc::invalid_argument);
    EXPECT_TRUE(forms_.empty());
}

}  // namespace
}  // namespace hearth::aws
