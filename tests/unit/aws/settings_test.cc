#include "aws/settings.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::aws {
namespace {

using ::testing::HasSubstr;

environment with(std::map<std::string, std::string, std::less<>> values) {
    return [values = std::move(values)](std::string_view name) -> std::optional<std::string> {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional(found->second);
    };
}

TEST(aws_settings, the_region_decides_where_services_are) {
    const auto read = settings::read(with({{"AWS_REGION", "eu-central-1"}}));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->region(), "eu-central-1");
    EXPECT_EQ(read->endpoint_of(service::sqs).base, "https://sqs.eu-central-1.amazonaws.com");
    EXPECT_EQ(read->endpoint_of(service::cloudwatch).authority,
              "monitoring.eu-central-1.amazonaws.com");
    EXPECT_FALSE(read->endpoint_of(service::sqs).overridden);
}

TEST(aws_settings, regions_in_china_have_a_domain_of_their_own) {
    const auto read = settings::read(with({{"AWS_DEFAULT_REGION", "cn-north-1"}}));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->endpoint_of(service::dynamodb).base,
              "https://dynamodb.cn-north-1.amazonaws.com.cn");
}

TEST(aws_settings, a_service_of_its_own_wins_over_the_endpoint_for_all) {
    const auto read =
        settings::read(with({{"AWS_REGION", "us-east-1"},
                             {"AWS_ENDPOINT_URL", "http://127.0.0.1:5005/"},
                             {"AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://[::1]:7/some/path/"}}));
    ASSERT_TRUE(read) << read.error().message;
    const auto sqs = read->endpoint_of(service::sqs);
    EXPECT_EQ(sqs.base, "http://127.0.0.1:5005");
    EXPECT_EQ(sqs.authority, "127.0.0.1:5005");
    EXPECT_TRUE(sqs.overridden);
    const auto secrets = read->endpoint_of(service::secrets_manager);
    EXPECT_EQ(secrets.base, "http://[::1]:7/some/path");
    EXPECT_EQ(secrets.authority, "[::1]:7");
    EXPECT_EQ(secrets.path, "/some/path");
}

TEST(aws_settings, configured_endpoints_can_be_told_to_be_ignored) {
    const auto read = settings::read(with({{"AWS_REGION", "us-east-1"},
                                           {"AWS_ENDPOINT_URL", "http://127.0.0.1:5005"},
                                           {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True"}}));
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->endpoint_of(service::s3).overridden);
}

TEST(aws_settings, a_bucket_is_in_the_host_on_aws_and_in_the_path_elsewhere) {
    const auto aws = settings::read(with({{"AWS_REGION", "us-east-1"}}));
    ASSERT_TRUE(aws);
    EXPECT_EQ(aws->bucket_endpoint("code").base, "https://code.s3.us-east-1.amazonaws.com");
    EXPECT_EQ(aws->bucket_endpoint("my.code").base, "https://s3.us-east-1.amazonaws.com/my.code");
    const auto local = settings::read(
        with({{"AWS_REGION", "us-east-1"}, {"AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"}}));
    ASSERT_TRUE(local);
    EXPECT_EQ(local->bucket_endpoint("code").base, "http://127.0.0.1:9/code");
    EXPECT_EQ(local->bucket_endpoint("code").path, "/code");
    EXPECT_EQ(local->bucket_endpoint("code").authority, "127.0.0.1:9");
}

TEST(aws_settings, every_problem_is_told_at_once) {
    const auto read = settings::read(with({{"AWS_REGION", "Mars/1"},
                                           {"AWS_ENDPOINT_URL_SQS", "ftp://host"},
                                           {"AWS_ENDPOINT_URL_S3", "http://user@host"}}));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, errc::invalid_argument);
    EXPECT_THAT(read.error().message, HasSubstr("Mars/1"));
    EXPECT_THAT(read.error().message, HasSubstr("AWS_ENDPOINT_URL_SQS"));
    EXPECT_THAT(read.error().message, HasSubstr("AWS_ENDPOINT_URL_S3"));
    EXPECT_THAT(settings::read(with({})).error().message, HasSubstr("AWS_REGION is not set"));
}

TEST(aws_settings, an_empty_value_is_as_good_as_none) {
    const auto read = settings::read(with(
        {{"AWS_REGION", "us-east-1"}, {"AWS_ENDPOINT_URL", ""}, {"AWS_CA_BUNDLE", "/ca.pem"}}));
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->endpoint_of(service::sqs).overridden);
    EXPECT_EQ(read->authorities_file(), "/ca.pem");
}

}  // namespace
}  // namespace hearth::aws
