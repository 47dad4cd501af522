// Keys that a service takes no longer while calls are under way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/client.h"
#include "aws/credential_chain.h"
#include "tests/unit/aws/services_fixture.h"

namespace hearth::aws {
namespace {

using ::testing::HasSubstr;

// A container's agent gives the keys; the same server is the service.
class aws_expired_keys : public testing::Test, public test::http_fixture {
protected:
    ~aws_expired_keys() override { end(); }

    static std::string keys(std::string_view id) {
        return concat(R"({"AccessKeyId":")", id, R"(","SecretAccessKey":"s","Token":"t",)",
                      R"("Expiration":")", format_rfc3339(wall_clock_ms() + 3'600'000), R"("})");
    }
    environment env() {
        return [this](std::string_view name) {
            return name == "AWS_CONTAINER_CREDENTIALS_FULL_URI" ? std::optional(service_.url("/c"))
                                                                : std::nullopt;
        };
    }
    task<result<http::client_response>> call() {
        return sqs_.call({.operation = "X", .body = "{}"}, soon());
    }

    test::scripted_service service_{loop()};
    thread_pool blocking_{1, 16};
    settings config_ = test::settings_for(service_.url());
    std::unique_ptr<credential_chain> keys_ =
        credential_chain::standard({env(), transport(), blocking_, config_});
    client sqs_{transport(), keys_.get(), config_, service::sqs, test::impatient()};
};

TEST_F(aws_expired_keys, under_many_calls_are_fetched_once_and_every_call_succeeds) {
    int given = 0;
    service_.on(method::get, "/c", [&](const asked_request&) {
        return response::text(200, keys(concat("K", ++given)));
    });
    std::string accepted = "K1";
    service_.on(method::post, "/", [&](const asked_request& asked) {
        return asked.header("authorization").contains(concat("Credential=", accepted, "/"))
                   ? response::json(200, "{}")
                   : test::json_refusal(400, "ExpiredTokenException");
    });
    ASSERT_TRUE(loop().run(call()));
    accepted = "K2";
    std::vector<test::test_loop::pending<result<http::client_response>>> calls;
    for (int i = 0; i < 16; ++i) {
        calls.push_back(loop().start(call()));
    }
    for (auto& each : calls) {
        const auto answer = each.get();
        EXPECT_TRUE(answer) << answer.error().message;
    }
    EXPECT_EQ(given, 2);
}

TEST_F(aws_expired_keys, that_cannot_be_replaced_are_tried_once_more_and_the_refusal_told) {
    bool broken = false;
    service_.on(method::get, "/c", [&](const asked_request&) {
        return broken ? response::text(500, "") : response::text(200, keys("K"));
    });
    service_.on(method::post, "/", [&](const asked_request&) {
        return test::json_refusal(400, "ExpiredTokenException");
    });
    ASSERT_TRUE(loop().run(keys_->get(soon())));
    broken = true;
    const auto answer = loop().run(call());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::permission_denied);
    EXPECT_THAT(answer.error().message, HasSubstr("ExpiredTokenException"));
    EXPECT_EQ(sqs_.counts().attempts, 2u);
}

}  // namespace
}  // namespace hearth::aws
