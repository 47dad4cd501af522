// Settings that stand in Systems Manager and Secrets Manager.

#include "aws/references.h"

#include <algorithm>
#include <array>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/secrets.h"
#include "base/json.h"
#include "tests/unit/aws/services_fixture.h"

namespace hearth::aws {
namespace {

using test::json_refusal;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view hidden = "s3cr3t-value";

class aws_references : public testing::Test, public test::http_fixture {
protected:
    aws_references() {
        service_.on(method::post, "/", [this](const asked_request& asked) { return serve(asked); });
    }
    ~aws_references() override { end(); }

    response serve(const asked_request& asked) {
        const auto target = asked.header("x-amz-target");
        const auto body = json::document::parse(asked.body).value();
        const bool is_ssm = target == "AmazonSSM.GetParameter";
        const std::string name(body.root()[is_ssm ? "Name" : "SecretId"].get_string().value());
        if (is_ssm && !body.root()["WithDecryption"].get_bool().value()) {
            return json_refusal(400, "ValidationException");
        }
        if (name == "forbidden") {
            return json_refusal(400, "AccessDeniedException", "not you");
        }
        const auto found = stored_.find(name);
        if (found == stored_.end()) {
            return json_refusal(400, is_ssm ? "ParameterNotFound" : "ResourceNotFoundException");
        }
        json::writer out;
        out.begin_object();
        if (is_ssm) {
            out.begin_object("Parameter");
            out.member("Value", found->second);
            out.end_object();
        } else if (found->second.empty()) {
            out.member("SecretBinary", "AAECAw==");
        } else {
            out.member("SecretString", found->second);
        }
        out.end_object();
        return response::json(200, std::move(out).take());
    }
    reference_values fetch(std::vector<secret_reference> wanted) {
        const auto config = test::settings_for(service_.url());
        client ssm(transport(), &keys_, config, service::ssm, test::impatient());
        client secrets(transport(), &keys_, config, service::secrets_manager, test::impatient());
        return loop().run(fetch_references(std::move(wanted), ssm, secrets, soon()));
    }

    test::scripted_service service_{loop()};
    std::map<std::string, std::string, std::less<>> stored_;
    fixed_credentials keys_{{"AKID", "secret", ""}};
};

TEST_F(aws_references, parameters_and_secrets_and_members_of_secrets_are_found) {
    stored_["/hearth/key"] = hidden;
    stored_["plain"] = "all of it";
    stored_["json"] = R"({"user":"a\"b","port":6379,"big":12345678901234567890123,"tls":true})";
    const auto values = fetch({{"A", secret_service::ssm, "/hearth/key", ""},
                               {"B", secret_service::secretsmanager, "plain", ""},
                               {"C", secret_service::secretsmanager, "json", "user"}});
    const auto get = [&](secret_service where, std::string name, std::string member = "") {
        return values.find({"A", where, std::move(name), std::move(member)}).value();
    };
    EXPECT_EQ(get(secret_service::ssm, "/hearth/key"), hidden);
    EXPECT_EQ(get(secret_service::secretsmanager, "plain"), "all of it");
    EXPECT_EQ(get(secret_service::secretsmanager, "json", "user"), "a\"b");
    EXPECT_EQ(get(secret_service::secretsmanager, "json", "port"), "6379");
    EXPECT_EQ(get(secret_service::secretsmanager, "json", "big"), "12345678901234567890123");
    EXPECT_EQ(get(secret_service::secretsmanager, "json", "tls"), "true");
}

TEST_F(aws_references, each_parameter_and_secret_is_asked_for_once_however_many_refer_to_it) {
    stored_["json"] = R"({"a":"1","b":"2"})";
    std::vector<secret_reference> wanted;
    for (const auto* setting : {"A", "B", "C"}) {
        for (const auto* member : {"a", "b", ""}) {
            wanted.push_back({setting, secret_service::secretsmanager, "json", member});
        }
    }
    const auto values = fetch(wanted);
    EXPECT_TRUE(std::ranges::all_of(
        wanted, [&](const auto& each) { return values.find(each).has_value(); }));
    EXPECT_EQ(service_.count(), 1);
}

TEST_F(aws_references, more_than_can_be_asked_for_at_once_are_all_fetched) {
    std::vector<secret_reference> wanted;
    for (std::size_t i = 0; i < 3 * references_at_once + 1; ++i) {
        stored_[concat("p", i)] = concat("v", i);
        wanted.push_back({"A", secret_service::ssm, concat("p", i), ""});
    }
    const auto values = fetch(wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_EQ(values.find(wanted[i]).value(), concat("v", i));
    }
}

TEST_F(aws_references, what_is_missing_or_forbidden_says_so_with_the_right_that_it_takes) {
    const auto values = fetch({{"A", secret_service::ssm, "absent", ""},
                               {"B", secret_service::ssm, "forbidden", ""},
                               {"C", secret_service::secretsmanager, "absent", ""},
                               {"D", secret_service::secretsmanager, "forbidden", ""}});
    const auto problem = [&](secret_service where, std::string name) {
        return values.find({"A", where, std::move(name), ""}).error();
    };
    const auto absent = problem(secret_service::ssm, "absent");
    EXPECT_EQ(absent.code, errc::not_found);
    EXPECT_THAT(absent.message, HasSubstr("there is no parameter absent in eu-west-1"));
    EXPECT_THAT(problem(secret_service::ssm, "forbidden").message, HasSubstr("ssm:GetParameter"));
    EXPECT_EQ(problem(secret_service::secretsmanager, "absent").code, errc::not_found);
    const auto forbidden = problem(secret_service::secretsmanager, "forbidden");
    EXPECT_EQ(forbidden.code, errc::permission_denied);
    EXPECT_THAT(forbidden.message, HasSubstr("secretsmanager:GetSecretValue"));
}

TEST_F(aws_references, a_secret_in_bytes_is_refused) {
    stored_["bytes"] = "";
    const auto values = fetch({{"A", secret_service::secretsmanager, "bytes", ""}});
    EXPECT_THAT(values.find({"A", secret_service::secretsmanager, "bytes", ""}).error().message,
                HasSubstr("store it as SecretString"));
}

TEST(aws_secret_member, what_cannot_be_a_value_is_an_error_that_shows_nothing_of_the_secret) {
    for (const std::string_view secret :
         {R"({"a":{"s3cr3t-value":1}})", R"({"a":["s3cr3t-value"]})", R"({"a":null})",
          R"({"b":"s3cr3t-value"})", "s3cr3t-value", R"({"a":"s3cr3t-value")",
          R"({"a":"s3cr3t-value","a":"s3cr3t-value"})"}) {
        const auto got = secret_member(secret, "a");
        ASSERT_FALSE(got) << secret;
        EXPECT_EQ(got.error().code, errc::invalid_argument);
        EXPECT_THAT(got.error().message, Not(HasSubstr(hidden)));
        EXPECT_THAT(got.error().message, HasSubstr("member a"));
    }
}

// --- as a program uses it: a thread that has no ring yet ----------------------------------------

constexpr std::array declared{
    setting{.name = "INFRA_API_KEY", .help = "", .required = true, .secret = true},
    setting{.name = "WORKER_TOKEN", .help = "", .required = true, .secret = true},
    setting{.name = "REDIS_HOST", .help = ""},
};

class resolving : public testing::Test {
protected:
    setting_sources sources() {
        return {.environment = [this](const char* name) -> const char* {
                    const auto found = values_.find(name);
                    return found == values_.end() ? nullptr : found->second.c_str();
                },
                .file = ""};
    }
    environment aws_environment() {
        return [this](std::string_view name) -> std::optional<std::string> {
            const auto found = values_.find(name);
            return found == values_.end() ? std::nullopt : std::optional(found->second);
        };
    }
    std::map<std::string, std::string, std::less<>> values_{
        {"AWS_EC2_METADATA_DISABLED", "true"},
        {"AWS_CONFIG_FILE", "/dev/null"},
        {"AWS_SHARED_CREDENTIALS_FILE", "/dev/null"}};
};

TEST_F(resolving, without_a_reference_nothing_is_asked_and_nothing_needed) {
    values_["INFRA_API_KEY"] = hidden;
    auto from = sources();
    resolve_references(declared, from, aws_environment(), soon());
    EXPECT_FALSE(from.resolver);
}

TEST_F(resolving, what_keeps_all_references_from_being_fetched_is_a_problem_of_each_setting) {
    values_["INFRA_API_KEY"] = "ssm:/hearth/key";
    values_["WORKER_TOKEN"] = "secretsmanager:hearth#token";
    for (const auto* region : {"", "eu-west-1"}) {  // first no region, then no credentials
        values_["AWS_REGION"] = region;
        auto from = sources();
        resolve_references(declared, from, aws_environment(), soon());
        const auto loaded = hearth::settings::load(declared, from);
        ASSERT_EQ(loaded.problems().size(), 2u);
        EXPECT_THAT(loaded.problems()[0], HasSubstr("INFRA_API_KEY"));
        EXPECT_THAT(loaded.problems()[1], HasSubstr("WORKER_TOKEN"));
        EXPECT_THAT(loaded.problems()[0],
                    HasSubstr(*region == '\0' ? "AWS_REGION is not set" : "no AWS credentials"));
    }
}

TEST_F(aws_references, settings_take_what_was_fetched_and_never_show_it) {
    stored_["/hearth/key"] = hidden;
    const std::map<std::string, std::string, std::less<>> values{
        {"INFRA_API_KEY", "ssm:/hearth/key"}, {"WORKER_TOKEN", "ssm:absent"}};
    setting_sources from{.environment = [&](const char* name) -> const char* {
                             const auto found = values.find(name);
                             return found == values.end() ? nullptr : found->second.c_str();
                         },
                         .file = ""};
    const auto answers = fetch(find_references(declared, from));
    from.resolver = answers.resolver();
    const auto loaded = hearth::settings::load(declared, from);
    EXPECT_EQ(loaded.text("INFRA_API_KEY"), hidden);
    ASSERT_EQ(loaded.problems().size(), 1u);
    EXPECT_THAT(loaded.problems()[0], HasSubstr("WORKER_TOKEN"));
    EXPECT_THAT(loaded.table(), Not(HasSubstr(hidden)));
}

}  // namespace
}  // namespace hearth::aws
