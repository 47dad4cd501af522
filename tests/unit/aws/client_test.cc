// Calls of a service that refuses, throttles, is away and has another clock.

#include "aws/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"
#include "tests/support/lossy_proxy.h"
#include "tests/unit/aws/services_fixture.h"

namespace hearth::aws {
namespace {

using ::testing::HasSubstr;

class two_keys final : public credentials_source {
public:
    task<result<credentials>> get(deadline) override {
        co_return credentials{refused_ ? "NEW" : "OLD", "secret", "token"};
    }
    void refused(const credentials& which) override { refused_ = which.access_key_id == "OLD"; }

private:
    bool refused_ = false;
};

class aws_client : public testing::Test, public test::http_fixture {
protected:
    ~aws_client() override { end(); }

    client make(credentials_source* keys = nullptr, client_options options = {}) {
        options.pauses = {.base = milliseconds(1), .throttled_base = milliseconds(1)};
        const std::string url = service_.url();
        const auto read = settings::read([&](std::string_view name) {
            return name == "AWS_REGION"         ? std::optional<std::string>("eu-west-1")
                   : name == "AWS_ENDPOINT_URL" ? std::optional(url)
                                                : std::nullopt;
        });
        return {transport(), keys, read.value(), service::sqs, std::move(options)};
    }
    static request ask(std::string body = "{}") {
        return {.operation = "SendMessage",
                .headers = {{"x-amz-target", "AmazonSQS.SendMessage"}},
                .body = std::move(body)};
    }
    static response refusal(int status, std::string_view code) {
        auto out = response::json(
            status, concat(R"({"__type":"com.amazonaws.sqs#)", code, R"(","message":"told so"})"));
        out.add_header("x-amzn-RequestId", "request-7");
        return out;
    }
    // Refuses the first `times` calls.
    void refuse(int times, int status, std::string_view code) {
        service_.on(method::post, "/", [=, this](const asked_request&) {
            return service_.count() <= times ? refusal(status, code) : response::json(200, "{}");
        });
    }

    event never_set_;
    test::scripted_service service_{loop()};
    fixed_credentials keys_{{"AKID", "secret", ""}};
};

TEST_F(aws_client, a_call_is_signed_for_service_and_region) {
    std::string authorization;
    service_.on(method::post, "/", [&](const asked_request& asked) {
        authorization = asked.header("authorization");
        return response::json(200, asked.body);
    });
    auto sqs = make(&keys_);
    const auto answer = loop().run(sqs.call(ask(R"({"a":1})"), soon()));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->body, R"({"a":1})");
    EXPECT_THAT(authorization, HasSubstr("Credential=AKID/"));
    EXPECT_THAT(authorization, HasSubstr("/eu-west-1/sqs/aws4_request"));
    EXPECT_THAT(authorization, HasSubstr("x-amz-target"));
}

TEST_F(aws_client, a_refusal_says_code_message_and_request_id_and_is_final) {
    refuse(99, 400, "InvalidMessageContents");
    auto sqs = make();
    const auto answer = loop().run(sqs.call(ask(), soon()));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::rejected) << "no mistake of whoever called us";
    EXPECT_THAT(answer.error().message, HasSubstr("sqs SendMessage: InvalidMessageContents"));
    EXPECT_THAT(answer.error().message, HasSubstr("told so"));
    EXPECT_THAT(answer.error().message, HasSubstr("request-7"));
    EXPECT_EQ(sqs.counts().attempts, 1u);
    EXPECT_EQ(sqs.counts().failed, 1u);
}

TEST_F(aws_client, the_services_own_errors_are_tried_again) {
    refuse(2, 503, "ServiceUnavailable");
    auto sqs = make();
    EXPECT_TRUE(loop().run(sqs.call(ask(), soon())));
    EXPECT_EQ(sqs.counts().retries, 2u);
    EXPECT_EQ(sqs.counts().failed, 0u);
}

TEST_F(aws_client, a_call_is_given_up_after_its_attempts) {
    refuse(99, 500, "InternalError");
    auto sqs = make();
    const auto answer = loop().run(sqs.call(ask(), soon()));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::unavailable);
    EXPECT_EQ(sqs.counts().attempts, 4u);
}

TEST_F(aws_client, an_outage_uses_up_the_retry_budget_and_then_costs_one_attempt_each) {
    refuse(100'000, 500, "InternalError");
    auto sqs = make();
    while (sqs.counts().budget_refusals == 0) {
        EXPECT_FALSE(loop().run(sqs.call(ask(), soon())));
    }
    const auto before = sqs.counts().attempts;
    EXPECT_FALSE(loop().run(sqs.call(ask(), soon())));
    EXPECT_EQ(sqs.counts().attempts, before + 1);
    EXPECT_EQ(sqs.counts().retries, 100u);
}

TEST_F(aws_client, throttling_slows_all_later_calls_down) {
    refuse(1, 400, "ThrottlingException");
    auto sqs = make();
    ASSERT_TRUE(loop().run(sqs.call(ask(), soon())));
    EXPECT_EQ(sqs.counts().throttled, 1u);
    EXPECT_TRUE(sqs.rate().limited());
    const auto answer = loop().run(sqs.call(ask(), soon()));
    EXPECT_TRUE(answer) << answer.error().message;
}

TEST_F(aws_client, who_gets_no_turn_before_the_deadline_is_told_at_once) {
    refuse(99, 400, "ThrottlingException");
    auto sqs = make(nullptr, {.attempts_max = 1});
    result<http::client_response> answer;
    for (int i = 0; i < 100 && service_.count() == i; ++i) {
        answer = loop().run(sqs.call(ask(), after(milliseconds(100))));
    }
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::limit_exceeded);
}

TEST_F(aws_client, a_wrong_clock_is_corrected_by_the_services_date) {
    for (const auto* code : {"RequestTimeTooSkewed", "SignatureDoesNotMatch"}) {
        test::scripted_service other(loop());
        const epoch_ms real = wall_clock_ms();
        other.on(method::post, "/", [&](const asked_request& asked) {
            const auto today = format_rfc3339(real).substr(0, 4);
            return asked.header("x-amz-date").starts_with(today) ? response::json(200, "{}")
                                                                 : refusal(403, code);
        });
        const std::string url = other.url();
        const auto read = settings::read([&](std::string_view name) {
            return name == "AWS_REGION" ? std::optional<std::string>("eu-west-1")
                                        : std::optional(url);
        });
        client sqs(transport(), &keys_, read.value(), service::sqs, {.now = [] {
                       return wall_clock_ms() - 800LL * 86'400'000;
                   }});
        const auto answer = loop().run(sqs.call(ask(), soon()));
        EXPECT_TRUE(answer) << answer.error().message;
        EXPECT_EQ(sqs.counts().clock_corrections, 1u);
        EXPECT_TRUE(loop().run(sqs.call(ask(), soon())));
        EXPECT_EQ(other.count(), 3);
    }
}

TEST_F(aws_client, a_wrong_key_is_not_taken_for_a_wrong_clock) {
    refuse(99, 403, "SignatureDoesNotMatch");
    auto sqs = make(&keys_);
    const auto answer = loop().run(sqs.call(ask(), soon()));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::permission_denied);
    EXPECT_EQ(service_.count(), 1);
    EXPECT_EQ(sqs.counts().clock_corrections, 0u);
}

TEST_F(aws_client, expired_credentials_are_replaced_once) {
    service_.on(method::post, "/", [&](const asked_request& asked) {
        return asked.header("authorization").contains("Credential=NEW/")
                   ? response::json(200, "{}")
                   : refusal(403, "ExpiredTokenException");
    });
    two_keys changing;
    auto sqs = make(&changing);
    const auto answer = loop().run(sqs.call(ask(), soon()));
    EXPECT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(service_.count(), 2);
}

TEST_F(aws_client, a_service_that_says_when_is_asked_no_sooner) {
    service_.on(method::post, "/", [&](const asked_request&) {
        auto out = service_.count() == 1 ? refusal(503, "SlowDown") : response::json(200, "{}");
        out.add_header("x-amz-retry-after", "60");
        return out;
    });
    auto sqs = make();
    const auto before = steady_clock::now();
    ASSERT_TRUE(loop().run(sqs.call(ask(), soon())));
    EXPECT_GE(steady_clock::now() - before, milliseconds(60));
}

TEST_F(aws_client, who_would_have_to_wait_beyond_the_deadline_is_told_at_once) {
    service_.on(method::post, "/", [&](const asked_request&) {
        auto out = refusal(503, "SlowDown");
        out.add_header("retry-after", "15");
        return out;
    });
    auto sqs = make();
    const auto answer = loop().run(sqs.call(ask(), after(seconds(10))));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::limit_exceeded);
    EXPECT_EQ(service_.count(), 1);
}

TEST(aws_failure, the_wait_that_a_service_asks_for_is_read_and_bounded) {
    const auto wait = [](std::string name, std::string value) {
        return retry_after({.status = 503, .headers = {{std::move(name), std::move(value)}}},
                           milliseconds(20'000));
    };
    EXPECT_EQ(wait("retry-after", "3"), milliseconds(3000));
    EXPECT_EQ(wait("x-amz-retry-after", "250"), milliseconds(250));
    EXPECT_EQ(wait("retry-after", "86400"), milliseconds(20'000));
    for (const auto* nonsense :
         {"", "-1", "soon", "1.5", "99999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT"}) {
        EXPECT_EQ(wait("retry-after", nonsense), milliseconds(0)) << nonsense;
    }
}

TEST_F(aws_client, an_answer_that_breaks_off_is_asked_for_again) {
    service_.on(method::post, "/",
                [](const asked_request&) { return response::json(200, R"({"MessageId":"1"})"); });
    using fate = test::lossy_proxy::fate;
    for (const auto how : {fate::lost, fate::cut, fate::reset}) {
        test::lossy_proxy proxy(loop(), transport(), service_.url());
        const auto config = test::settings_for(proxy.url());
        client sqs(transport(), &keys_, config, service::sqs, test::impatient());
        proxy.next({how, how});
        const auto answer = loop().run(sqs.call(ask(), soon()));
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_EQ(answer->body, R"({"MessageId":"1"})");
        EXPECT_EQ(sqs.counts().retries, 2u);
    }
}

TEST_F(aws_client, a_service_that_is_away_is_unavailable_and_comes_back) {
    refuse(0, 200, "");
    auto sqs = make();
    service_.stop();
    const auto answer = loop().run(sqs.call(ask(), soon()));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::unavailable);
    service_.start();
    EXPECT_TRUE(loop().run(sqs.call(ask(), soon())));
}

TEST_F(aws_client, an_attempt_without_an_answer_is_made_again_and_is_no_deadline_of_the_caller) {
    service_.hold(method::post, "/", never_set_);
    auto sqs = make(nullptr, {.attempts_max = 2});
    auto asked = ask();
    asked.attempt_timeout = milliseconds(20);
    const auto answer = loop().run(sqs.call(std::move(asked), soon()));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::unavailable);
    EXPECT_EQ(sqs.counts().attempts, 2u);
}

TEST_F(aws_client, a_passed_deadline_sends_nothing_and_a_stop_ends_the_wait_for_a_retry) {
    refuse(99, 500, "InternalError");
    auto sqs = make();
    const auto late = loop().run(sqs.call(ask(), test::passed()));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, errc::deadline_exceeded);
    EXPECT_EQ(service_.count(), 0);
    client patient(transport(), nullptr, sqs.configuration(), service::sqs,
                   {.pauses = {.base = milliseconds(1 << 30), .most = milliseconds(1 << 30)}});
    auto waiting = loop().start(patient.call(ask(), never));
    loop().run_until([&] { return patient.counts().retries == 1; });
    waiting.stop();
    EXPECT_EQ(waiting.get().error().code, errc::cancelled);
}

TEST(aws_failure, codes_are_read_from_every_form_of_answer) {
    http::client_response json{
        .status = 400,
        .headers = {{"x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender"}},
        .body = R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"})"};
    const auto queue = parse_failure(json);
    EXPECT_TRUE(queue.is("QueueDoesNotExist"));
    EXPECT_TRUE(queue.is("AWS.SimpleQueueService.NonExistentQueue"));
    EXPECT_EQ(to_error(service::sqs, "x", queue).code, errc::unavailable);

    http::client_response xml{
        .status = 404,
        .headers = {},
        .body =
            "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>a &lt;b&gt;"
            "</Message><RequestId>r1</RequestId></Error>"};
    const auto key = parse_failure(xml);
    EXPECT_TRUE(key.is("NoSuchKey"));
    EXPECT_EQ(key.message, "a <b>");
    EXPECT_EQ(key.request_id, "r1");
    EXPECT_EQ(to_error(service::s3, "x", key).code, errc::not_found);

    http::client_response bare{.status = 503, .headers = {}, .body = "<html>overloaded</html>"};
    EXPECT_EQ(remedy_for(parse_failure(bare)), remedy::again);
    http::client_response garbage{.status = 403, .headers = {}, .body = "{not json"};
    EXPECT_EQ(to_error(service::s3, "x", parse_failure(garbage)).code, errc::permission_denied);
}

TEST(aws_failure, a_missing_table_is_not_taken_for_a_missing_item) {
    http::client_response answer{
        .status = 400,
        .headers = {},
        .body = R"({"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"})"};
    const auto what = parse_failure(answer);
    EXPECT_EQ(to_error(service::dynamodb, "GetItem", what).code, errc::unavailable);
    EXPECT_EQ(to_error(service::secrets_manager, "GetSecretValue", what).code, errc::not_found);
}

}  // namespace
}  // namespace hearth::aws
