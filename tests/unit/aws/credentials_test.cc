// Where credentials come from, and how they are kept. The places are real HTTP servers and files.

#include <cstdio>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/credential_chain.h"
#include "base/concat.h"
#include "tests/support/certificates.h"
#include "tests/unit/aws/scripted_service.h"

namespace hearth::aws {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view role_path = "/latest/meta-data/iam/security-credentials/";

class aws_credentials : public testing::Test, public test::http_fixture {
protected:
    ~aws_credentials() override { end(); }

    environment env() {
        return [this](std::string_view name) -> std::optional<std::string> {
            const auto found = values_.find(name);
            return found == values_.end() ? std::nullopt : std::optional(found->second);
        };
    }
    // Of the environment as it is set now.
    provider_parts parts() {
        values_.try_emplace("AWS_REGION", "eu-west-1");
        config_.emplace(settings::read(env()).value());
        return {env(), transport(), blocking_, *config_};
    }
    std::string write(std::string_view name, std::string_view text) {
        const auto path = folder_ / name;
        std::ofstream(path) << text;
        return path;
    }
    result<credentials> get(credential_chain& chain) { return loop().run(chain.get(soon())); }
    std::string id(credential_chain& chain) {
        const auto got = get(chain);
        return got ? got->access_key_id : concat("failed: ", got.error().message);
    }
    [[nodiscard]] std::string issued(std::string_view id, milliseconds life) const {
        return concat(R"({"Code":"Success","AccessKeyId":")", id,
                      R"(","SecretAccessKey":"s","Token":"t","Expiration":")",
                      format_rfc3339(now_ + life.count()), R"("})");
    }
    // IMDSv2: without the token that PUT gave there is nothing.
    void serve_imds(test::scripted_service& at, std::function<response()> keys) {
        at.on(method::put, "/latest/api/token", [this](const asked_request& asked) {
            ++tokens_;
            return asked.header("x-aws-ec2-metadata-token-ttl-seconds").empty()
                       ? response::text(400, "")
                       : response::text(200, concat("token-", tokens_));
        });
        const auto checked = [this](const asked_request& asked, const auto& answer) {
            return asked.header("x-aws-ec2-metadata-token") == concat("token-", tokens_)
                       ? answer()
                       : response::text(401, "");
        };
        at.on(method::get, role_path, [=](const asked_request& asked) {
            return checked(asked, [] { return response::text(200, "my-role\n"); });
        });
        at.on(method::get, concat(role_path, "my-role"),
              [=](const asked_request& asked) { return checked(asked, keys); });
        values_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = at.url("/");
    }
    std::unique_ptr<credential_chain> chain() {
        return credential_chain::standard(parts(), {.now = [this] {
                                              return now_;
                                          }});
    }

    std::map<std::string, std::string, std::less<>> values_{
        {"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"}};
    std::optional<settings> config_;
    thread_pool blocking_{1, 16};
    test::temporary_folder folder_;
    test::scripted_service service_{loop()};
    epoch_ms now_ = wall_clock_ms();
    int tokens_ = 0;
};

TEST_F(aws_credentials, the_environment_comes_first) {
    values_["AWS_ACCESS_KEY_ID"] = "AKID";
    values_["AWS_SECRET_ACCESS_KEY"] = "secret";
    values_["AWS_SESSION_TOKEN"] = "token";
    values_["AWS_SHARED_CREDENTIALS_FILE"] =
        write("credentials", "[default]\naws_access_key_id=OTHER\naws_secret_access_key=x\n");
    auto all = chain();
    const auto got = get(*all);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->access_key_id, "AKID");
    EXPECT_EQ(got->secret_access_key, "secret");
    EXPECT_EQ(got->session_token, "token");
    EXPECT_EQ(all->source(), "environment");
}

TEST_F(aws_credentials, half_a_pair_in_the_environment_is_an_error_not_passed_over) {
    values_["AWS_ACCESS_KEY_ID"] = "AKID";
    auto all = chain();
    EXPECT_EQ(get(*all).error().code, errc::permission_denied);
}

TEST_F(aws_credentials, nothing_anywhere_names_every_place) {
    auto all = chain();
    const auto got = get(*all);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::permission_denied);
    for (const auto* place : {"environment", "profile", "web identity", "EC2 metadata"}) {
        EXPECT_THAT(got.error().message, HasSubstr(place));
    }
}

TEST(aws_profiles, both_files_are_read_as_their_formats_have_it) {
    const auto config = parse_profiles(
        "# note\n[default]\nRegion = eu-west-1 # here\n"
        "[profile  work]\nrole_arn=arn:x\ns3 =\n  nested = 1\n"
        "[sso-session a]\nx=1\n[work]\ny=2\n",
        true);
    ASSERT_EQ(config.size(), 2u);
    EXPECT_EQ(config.at("default").at("region"), "eu-west-1");
    EXPECT_EQ(config.at("work").at("role_arn"), "arn:x");
    EXPECT_FALSE(config.at("work").contains("nested"));
    const auto keys = parse_profiles("[work]\r\naws_access_key_id = A#B\r\n", false);
    EXPECT_EQ(keys.at("work").at("aws_access_key_id"), "A#B");
}

TEST(aws_profiles, a_command_is_split_as_a_shell_does) {
    EXPECT_EQ(split_command(R"(/bin/x  --a "b c" 'd\e' f\ g "")"),
              (std::vector<std::string>{"/bin/x", "--a", "b c", "d\\e", "f g", ""}));
    EXPECT_TRUE(split_command("a 'b").empty());
    EXPECT_TRUE(split_command("  ").empty());
}

TEST_F(aws_credentials, a_profile_that_was_asked_for_must_exist) {
    values_["AWS_PROFILE"] = "absent";
    auto all = chain();
    const auto got = get(*all);
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().message, HasSubstr("absent"));
}

TEST_F(aws_credentials, a_process_can_bring_them) {
    const auto script =
        write("keys.sh", concat("printf '%s' '", issued("PROC", seconds(3600)), "'\n"));
    values_["AWS_CONFIG_FILE"] =
        write("config", concat("[default]\ncredential_process = /bin/sh \"", script, "\"\n"));
    auto all = chain();
    EXPECT_EQ(id(*all), "PROC");
}

TEST_F(aws_credentials, a_process_that_fails_is_an_error_and_its_output_is_not_told) {
    values_["AWS_CONFIG_FILE"] =
        write("config", "[default]\ncredential_process = /bin/sh -c 'echo topsecret; exit 3'\n");
    auto all = chain();
    const auto got = get(*all);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::unavailable);
    EXPECT_THAT(got.error().message, testing::Not(HasSubstr("topsecret")));
}

TEST_F(aws_credentials, a_process_that_does_not_end_is_killed_with_what_it_started) {
    // The first holds its output open; the second closes it and goes on.
    for (const char* lasting : {"sleep 1000 & wait", "exec >&-; sleep 1000 & wait"}) {
        const auto pids = folder_ / "pids";
        const auto script = write("keys.sh", concat("echo $$ >", pids, "\n", lasting, "\n"));
        values_["AWS_CONFIG_FILE"] =
            write("config", concat("[default]\ncredential_process = /bin/sh \"", script, "\"\n"));
        auto all = chain();
        const auto got = loop().run(all->get(after(milliseconds(300))));
        ASSERT_FALSE(got);
        std::ifstream stream(pids);
        pid_t group = 0;
        ASSERT_TRUE(stream >> group);
        loop().run_until([&] { return ::kill(-group, 0) != 0; });
        EXPECT_EQ(errno, ESRCH);
    }
}

TEST_F(aws_credentials, a_role_is_assumed_with_the_keys_of_its_source_profile) {
    std::string asked_for;
    std::string authorization;
    service_.on(method::post, "/", [&](const asked_request& asked) {
        asked_for = asked.body;
        authorization = asked.header("authorization");
        return response::text(
            200, concat("<R><AssumeRoleResult><Credentials><AccessKeyId>ROLE</AccessKeyId>"
                        "<SecretAccessKey>s</SecretAccessKey><SessionToken>t&amp;u</SessionToken>"
                        "<Expiration>",
                        format_rfc3339(now_ + 3'600'000),
                        "</Expiration></Credentials></AssumeRoleResult></R>"));
    });
    values_["AWS_ENDPOINT_URL_STS"] = service_.url();
    values_["AWS_PROFILE"] = "work";
    values_["AWS_CONFIG_FILE"] =
        write("config",
              "[profile work]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=base\n"
              "external_id=e 1\nrole_session_name=me\n");
    values_["AWS_SHARED_CREDENTIALS_FILE"] =
        write("credentials", "[base]\naws_access_key_id=BASE\naws_secret_access_key=x\n");
    auto all = chain();
    const auto got = get(*all);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->access_key_id, "ROLE");
    EXPECT_EQ(got->session_token, "t&u");
    EXPECT_THAT(authorization, HasSubstr("Credential=BASE/"));
    EXPECT_THAT(asked_for, HasSubstr("Action=AssumeRole&"));
    EXPECT_THAT(asked_for, HasSubstr("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"));
    EXPECT_THAT(asked_for, HasSubstr("ExternalId=e%201"));
}

TEST_F(aws_credentials, profiles_that_name_each_other_end) {
    values_["AWS_CONFIG_FILE"] = write("config",
                                       "[default]\nrole_arn=a\nsource_profile=b\n"
                                       "[profile b]\nrole_arn=b\nsource_profile=default\n");
    auto all = chain();
    EXPECT_EQ(get(*all).error().code, errc::permission_denied);
}

TEST_F(aws_credentials, a_web_identity_is_exchanged_unsigned_and_read_anew_each_time) {
    std::vector<std::string> seen;
    service_.on(method::post, "/", [&](const asked_request& asked) {
        EXPECT_EQ(asked.header("authorization"), "");
        seen.push_back(asked.body);
        return response::text(
            200, concat("<R><Credentials><AccessKeyId>WEB", seen.size(),
                        "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t"
                        "</SessionToken><Expiration>",
                        format_rfc3339(now_ + 3'600'000), "</Expiration></Credentials></R>"));
    });
    values_["AWS_ENDPOINT_URL_STS"] = service_.url();
    values_["AWS_ROLE_ARN"] = "arn:r";
    values_["AWS_WEB_IDENTITY_TOKEN_FILE"] = write("token", "first\n");
    auto all = chain();
    EXPECT_EQ(id(*all), "WEB1");
    write("token", "second\n");
    now_ += 3'590'000;
    EXPECT_EQ(id(*all), "WEB2");
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_THAT(seen[0], HasSubstr("WebIdentityToken=first"));
    EXPECT_THAT(seen[1], HasSubstr("WebIdentityToken=second"));
}

TEST_F(aws_credentials, a_container_asks_its_agent_with_the_token_of_the_file) {
    service_.on(method::get, "/creds/1", [&](const asked_request& asked) {
        return asked.header("authorization") == "from file"
                   ? response::text(200, issued("TASK", seconds(3600)))
                   : response::text(401, "");
    });
    values_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = service_.url("/creds/1");
    values_["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "from environment";
    auto refused = chain();
    EXPECT_EQ(get(*refused).error().code, errc::permission_denied);
    values_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = write("token", "from file\n");
    auto all = chain();
    EXPECT_EQ(id(*all), "TASK");
    EXPECT_EQ(all->source(), "container");
}

TEST_F(aws_credentials, a_containers_token_leaves_this_host_over_tls_alone) {
    for (const auto* url : {"http://example.com/x", "http://127.0.0.1.example.com/x",
                            "http://127.0.0.1@example.com/", "ftp://localhost/"}) {
        values_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
        auto all = chain();
        const auto got = get(*all);
        ASSERT_FALSE(got);
        EXPECT_NE(got.error().code, errc::unavailable) << url;
    }
}

TEST_F(aws_credentials, ec2_metadata_is_asked_with_a_token_that_is_kept) {
    serve_imds(service_, [this] { return response::text(200, issued("IMDS", seconds(21'600))); });
    auto all = chain();
    EXPECT_EQ(id(*all), "IMDS");
    EXPECT_EQ(all->source(), "EC2 metadata");
    EXPECT_EQ(id(*all), "IMDS");
    EXPECT_EQ(service_.count(), 3);  // token, role, keys: once
    now_ += 21'000'000 + 500'000;
    EXPECT_EQ(id(*all), "IMDS");
    EXPECT_EQ(service_.count(), 5);
    ++tokens_;  // the service forgets the token: 401
    now_ += 21'000'000 + 500'000;
    EXPECT_EQ(id(*all), "IMDS");
    EXPECT_EQ(service_.count(), 9);
}

TEST_F(aws_credentials, a_metadata_service_without_version_2_is_not_believed) {
    for (const int status : {404, 405}) {
        test::scripted_service old(loop());
        old.on(method::put, "/latest/api/token",
               [=](const asked_request&) { return response::text(status, ""); });
        old.on(method::get, role_path,
               [](const asked_request&) { return response::text(200, "forged"); });
        values_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = old.url();
        auto all = chain();
        EXPECT_EQ(get(*all).error().code, errc::permission_denied);
        EXPECT_EQ(old.count(), 1);
    }
}

TEST_F(aws_credentials, metadata_that_is_switched_off_says_so_and_can_be_left_out) {
    service_.on(method::put, "/latest/api/token",
                [](const asked_request&) { return response::text(403, ""); });
    values_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = service_.url();
    auto all = chain();
    EXPECT_THAT(get(*all).error().message, HasSubstr("switched off"));
    values_["AWS_EC2_METADATA_DISABLED"] = "true";
    auto without = chain();
    const int before = service_.count();
    EXPECT_EQ(get(*without).error().code, errc::permission_denied);
    EXPECT_EQ(service_.count(), before);
}

TEST_F(aws_credentials, a_malformed_answer_is_a_protocol_error_without_the_keys_in_it) {
    serve_imds(service_, [] {
        return response::text(200, R"({"AccessKeyId":"A","SecretAccessKey":"topsecret",)"
                                   R"("Expiration":"tomorrow"})");
    });
    auto all = chain();
    const auto got = get(*all);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::protocol);
    EXPECT_THAT(got.error().message, testing::Not(HasSubstr("topsecret")));
}

TEST_F(aws_credentials, many_that_wait_cause_one_request) {
    serve_imds(service_, [this] { return response::text(200, issued("IMDS", seconds(21'600))); });
    auto all = chain();
    std::vector<test::test_loop::pending<result<credentials>>> waiting;
    waiting.reserve(20);
    for (int i = 0; i < 20; ++i) {
        waiting.push_back(loop().start(all->get(soon())));
    }
    for (auto& each : waiting) {
        EXPECT_TRUE(each.get());
    }
    EXPECT_EQ(all->counts().fetched, 1u);
}

TEST_F(aws_credentials, whoever_stops_waiting_leaves_the_renewal_to_another) {
    serve_imds(service_, [this] { return response::text(200, issued("IMDS", seconds(21'600))); });
    auto all = chain();
    auto first = loop().start(all->get(soon()));
    auto second = loop().start(all->get(soon()));
    loop().run_until([this] { return transport().counts().requests == 1; });
    first.stop();
    EXPECT_EQ(first.get().error().code, errc::cancelled);
    EXPECT_TRUE(second.get());
}

TEST_F(aws_credentials, they_are_renewed_before_they_expire_and_the_old_ones_serve_until_then) {
    int given = 0;
    bool broken = false;
    service_.on(method::get, "/c", [&](const asked_request&) {
        return broken ? response::text(500, "")
                      : response::text(200, issued(concat("K", ++given), seconds(3600)));
    });
    values_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = service_.url("/c");
    auto all = chain();
    EXPECT_EQ(id(*all), "K1");
    now_ += 2'900'000;
    EXPECT_EQ(id(*all), "K1");
    now_ += 410'000;  // less than five minutes are left
    EXPECT_EQ(id(*all), "K2");
    broken = true;
    now_ += 3'400'000;
    EXPECT_EQ(id(*all), "K2");
    EXPECT_EQ(all->counts().failed, 1u);
    const int asked = service_.count();
    EXPECT_EQ(id(*all), "K2");
    EXPECT_EQ(service_.count(), asked) << "a failed renewal is not repeated at once";
    now_ += 300'000;  // expired now
    EXPECT_EQ(get(*all).error().code, errc::unavailable);
    broken = false;
    EXPECT_EQ(id(*all), "K3");
}

TEST_F(aws_credentials, an_outage_of_ec2_metadata_lets_expired_ones_live_on) {
    serve_imds(service_, [this] { return response::text(200, issued("IMDS", seconds(3600))); });
    auto all = chain();
    EXPECT_EQ(id(*all), "IMDS");
    service_.stop();
    now_ += 4'000'000;
    EXPECT_EQ(id(*all), "IMDS");
    EXPECT_EQ(all->counts().extended, 1u);
    now_ += 1'000'000;
    EXPECT_EQ(id(*all), "IMDS");
    EXPECT_EQ(all->counts().extended, 2u);
    service_.start();
    now_ += 1'000'000;
    EXPECT_EQ(id(*all), "IMDS");
    EXPECT_EQ(all->counts().fetched, 2u);
}

TEST_F(aws_credentials, expired_ones_from_ec2_metadata_itself_are_used_too) {
    serve_imds(service_, [this] { return response::text(200, issued("IMDS", seconds(-100))); });
    auto all = chain();
    EXPECT_EQ(id(*all), "IMDS");
    EXPECT_EQ(all->counts().extended, 1u);
}

TEST_F(aws_credentials, refused_ones_are_fetched_anew) {
    int given = 0;
    service_.on(method::get, "/c", [&](const asked_request&) {
        return response::text(200, issued(concat("K", ++given), seconds(3600)));
    });
    values_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = service_.url("/c");
    auto all = chain();
    const auto first = get(*all).value();
    all->refused(first);
    EXPECT_EQ(id(*all), "K2");
    all->refused(first);  // late news about old ones
    EXPECT_EQ(id(*all), "K2");
}

}  // namespace
}  // namespace hearth::aws
