// Against a server that verifies signatures, and that has the credential services that the npm
// stand-ins lack: moto, where it is installed.

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aws/credential_chain.h"
#include "aws/dynamodb.h"
#include "aws/probes.h"
#include "aws/sqs.h"
#include "aws/text.h"
#include "tests/port/aws/fixtures.h"
#include "tests/support/certificates.h"

namespace hearth::test {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

[[nodiscard]] bool is_on_path(std::string_view program) {
    std::string_view folders = std::getenv("PATH");
    while (!folders.empty()) {
        const auto end = std::min(folders.find(':'), folders.size());
        if (::access(concat(folders.substr(0, end), '/', program).c_str(), X_OK) == 0) {
            return true;
        }
        folders.remove_prefix(std::min(end + 1, folders.size()));
    }
    return false;
}

// On a free port of the loopback; says which in its log.
class moto_server {
public:
    moto_server() {
        fd_pair out = make_pipe();
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, out.theirs.get(), 1);
        ::posix_spawn_file_actions_adddup2(&actions, out.theirs.get(), 2);
        std::vector<std::string> words{"moto_server", "-H", "127.0.0.1", "-p", "0"};
        std::vector<char*> arguments;
        for (auto& word : words) {
            arguments.push_back(word.data());
        }
        arguments.push_back(nullptr);
        const int failed =
            ::posix_spawnp(&pid_, "moto_server", &actions, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        HEARTH_CHECK(failed == 0, "moto_server cannot be started");
        out.theirs.reset();
        std::string log;
        constexpr std::string_view mark = "http://127.0.0.1:";
        char c = 0;
        while (::read(out.ours.get(), &c, 1) == 1) {
            log += c;
            const auto at = log.find(mark);
            if (at != std::string::npos && c == '\n' && log.find('\n', at) != std::string::npos) {
                url_ = log.substr(at, log.find_first_of("\r\n ", at) - at);
                break;
            }
        }
        HEARTH_CHECK(!url_.empty(), "moto_server did not say where it is");
        log_ = std::move(out.ours);
    }
    moto_server(const moto_server&) = delete;
    moto_server& operator=(const moto_server&) = delete;
    ~moto_server() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    [[nodiscard]] const std::string& url() const { return url_; }

private:
    pid_t pid_ = -1;
    unique_fd log_;  // open, or its writes would fail
    std::string url_;
};

class aws_on_moto : public testing::Test {
protected:
    class home : public aws_fixture {
    public:
        ~home() { end(); }
    };

    void SetUp() override {
        if (!is_on_path("moto_server")) {
            GTEST_SKIP() << "NOT TESTED: moto_server is not on PATH; do: pip install "
                            "'moto[server]'";
        }
        server_.emplace();
        home_.emplace();
    }
    template <class T>
    T run(task<T> work) {
        return home_->loop().run(std::move(work));
    }
    static constexpr std::string_view everything =
        R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]})";

    // A user with that policy; from then on every request's signature and right is verified.
    aws::credentials make_user(std::string_view policy = everything) {
        const auto ask = [&](std::string form) {
            // Which service is meant moto reads from the scope of the signature, which it does not
            // verify yet.
            const auto answer = run(home_->transport().send(
                {.method = "POST",
                 .url = server_->url() + "/",
                 .headers =
                     {{"content-type", "application/x-www-form-urlencoded"},
                      {"authorization",
                       "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/iam/aws4_request, "
                       "SignedHeaders=host, Signature=0"}},
                 .body = concat(form, "&Version=2010-05-08&UserName=user")},
                soon()));
            HEARTH_CHECK(answer && answer->status == 200, "moto makes no user");
            return answer->body;
        };
        ask("Action=CreateUser");
        const auto key = ask("Action=CreateAccessKey");
        ask(concat("Action=PutUserPolicy&PolicyName=all&PolicyDocument=",
                   aws::percent_encode(policy)));
        const auto verifying =
            run(home_->transport().send({.method = "POST",
                                         .url = server_->url() + "/moto-api/reset-auth",
                                         .headers = {{"content-type", "text/plain"}},
                                         .body = "0"},
                                        soon()));
        HEARTH_CHECK(verifying && verifying->status == 200, "moto does not verify");
        return {aws::xml_text(key, "AccessKeyId").value(),
                aws::xml_text(key, "SecretAccessKey").value(), ""};
    }
    result<http::client_response> call(const aws::credentials& who, aws::service which,
                                       std::string operation, std::string body) {
        aws::fixed_credentials keys(who);
        aws::client api(home_->transport(), &keys, settings_at(server_->url()), which,
                        {.attempts_max = 1});
        return run(api.call(api.json_request(std::move(operation), std::move(body)), soon()));
    }
    aws::environment env() {
        return [this](std::string_view name) -> std::optional<std::string> {
            const auto found = values_.find(name);
            return found == values_.end() ? std::nullopt : std::optional(found->second);
        };
    }
    std::unique_ptr<aws::credential_chain> chain() {
        config_.emplace(settings_at(server_->url()));
        return aws::credential_chain::standard({env(), home_->transport(), blocking_, *config_});
    }

    std::optional<moto_server> server_;
    std::optional<home> home_;
    std::optional<aws::settings> config_;
    thread_pool blocking_{1, 16};
    temporary_folder folder_;
    std::map<std::string, std::string, std::less<>> values_;
};

TEST_F(aws_on_moto, signatures_are_accepted_and_wrong_ones_are_not) {
    const auto user = make_user();
    auto thief = user;
    thief.secret_access_key.back() ^= 1;
    const std::string queue = R"({"QueueName":"jobs"})";
    const std::string tables = R"({"Limit":10})";
    for (const auto& [which, operation, body] :
         {std::tuple{aws::service::sqs, "CreateQueue", queue},
          std::tuple{aws::service::dynamodb, "ListTables", tables}}) {
        const auto good = call(user, which, operation, body);
        EXPECT_TRUE(good) << good.error().message;
        const auto bad = call(thief, which, operation, body);
        ASSERT_FALSE(bad) << operation;
        EXPECT_EQ(bad.error().code, errc::permission_denied) << bad.error().message;
    }
}

class aws_rights_on_moto : public aws_on_moto {
protected:
    // The policy of a program as docs/fleet.md has it, with its placeholders filled.
    static std::string documented_policy(std::string_view program_name) {
        std::ifstream file(HEARTH_FLEET_DOCUMENT);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        constexpr std::string_view fence = "```json\n";
        const auto title = text.find(concat("### Role of ", program_name));
        const auto start = text.find(fence, title) + fence.size();
        std::string policy = text.substr(start, text.find("```", start) - start);
        replace_all(policy, "REGION", "us-east-1");
        replace_all(policy, "ACCOUNT", "123456789012");
        // moto compares the resources of SQS's rights, and of DynamoDB's none but "*".
        for (const auto* table :
             {"hearth-functions/index/by_creation", "hearth-functions", "hearth-invocations"}) {
            replace_all(policy, concat("arn:aws:dynamodb:us-east-1:123456789012:table/", table),
                        "*");
        }
        return policy;
    }
    static void replace_all(std::string& in, std::string_view what, std::string_view by) {
        for (auto at = in.find(what); at != std::string::npos; at = in.find(what, at)) {
            in.replace(at, what.size(), by);
        }
    }
    // Rights that the probes of queues and tables miss, for a user with that policy.
    std::vector<std::string> missing_rights(std::string_view policy, aws::program asking) {
        make_resources();
        aws::fixed_credentials keys(make_user(policy));
        const auto config = settings_at(server_->url());
        aws::client sqs(home_->transport(), &keys, config, aws::service::sqs);
        aws::client dynamodb(home_->transport(), &keys, config, aws::service::dynamodb);
        std::vector<std::string> missing;
        const auto add = [&](const std::vector<aws::probe>& lines) {
            for (const auto& each : lines) {
                if (!each.seen) {
                    EXPECT_EQ(each.seen.error().code, errc::permission_denied)
                        << each.seen.error().message;
                    missing.push_back(concat(each.tried, " on ", each.target));
                }
            }
        };
        const std::string account = "http://sqs/123456789012/";
        add(run(
            aws::probe_queue(sqs, account + "hearth-jobs", aws::queue_role::jobs, asking, soon())));
        add(run(aws::probe_queue(sqs, account + "hearth-jobs-dead", aws::queue_role::dead_letters,
                                 asking, soon())));
        add(run(aws::probe_function_table(dynamodb, "hearth-functions", asking, soon())));
        add(run(aws::probe_invocation_table(dynamodb, "hearth-invocations", asking, soon())));
        return missing;
    }

private:
    // Before rights are verified.
    void make_resources() {
        const aws::credentials nobody{"any", "any", ""};
        for (const auto* name : {"hearth-jobs", "hearth-jobs-dead"}) {
            ASSERT_TRUE(call(nobody, aws::service::sqs, "CreateQueue",
                             concat(R"({"QueueName":")", name, R"("})")));
        }
        for (const auto& [name, definition] :
             {std::pair("hearth-functions", functions_table),
              std::pair("hearth-invocations", invocations_table)}) {
            ASSERT_TRUE(call(nobody, aws::service::dynamodb, "CreateTable",
                             concat(R"({"TableName":")", name,
                                    R"(","BillingMode":"PAY_PER_REQUEST",)", definition, "}")));
        }
    }
};

TEST_F(aws_rights_on_moto, the_controllers_documented_policy_is_enough) {
    EXPECT_THAT(missing_rights(documented_policy("hearth-controller"), aws::program::controller),
                ElementsAre());
}

TEST_F(aws_rights_on_moto, the_workers_documented_policy_is_enough) {
    EXPECT_THAT(missing_rights(documented_policy("hearth-worker"), aws::program::worker),
                ElementsAre());
}

TEST_F(aws_rights_on_moto, rights_that_are_taken_from_the_policy_are_the_ones_found_missing) {
    auto policy = documented_policy("hearth-worker");
    replace_all(policy, "sqs:SendMessage", "sqs:ListQueues");
    replace_all(policy, "sqs:DeleteMessage", "sqs:ListQueueTags");
    replace_all(policy, "dynamodb:PutItem", "dynamodb:ListTables");
    EXPECT_THAT(missing_rights(policy, aws::program::worker),
                UnorderedElementsAre(
                    "sqs:SendMessage on hearth-jobs", "sqs:SendMessage on hearth-jobs-dead",
                    "sqs:DeleteMessage on hearth-jobs", "dynamodb:PutItem on hearth-invocations"));
}

TEST_F(aws_rights_on_moto, a_worker_has_not_the_controllers_rights) {
    EXPECT_THAT(missing_rights(documented_policy("hearth-worker"), aws::program::controller),
                UnorderedElementsAre("sqs:ReceiveMessage on hearth-jobs-dead",
                                     "sqs:DeleteMessage on hearth-jobs-dead",
                                     "sqs:ChangeMessageVisibility on hearth-jobs-dead",
                                     "dynamodb:UpdateItem on hearth-functions",
                                     "dynamodb:DeleteItem on hearth-functions",
                                     "dynamodb:Query on hearth-functions/index/by_creation"));
}

TEST_F(aws_on_moto, a_role_is_assumed_over_a_profile_and_its_session_is_accepted) {
    const auto user = make_user();
    const auto write = [this](std::string_view name, std::string_view text) {
        const auto path = folder_ / name;
        std::FILE* file = std::fopen(path.c_str(), "w");
        std::fwrite(text.data(), 1, text.size(), file);
        std::fclose(file);
        return path;
    };
    values_["AWS_PROFILE"] = "work";
    values_["AWS_CONFIG_FILE"] =
        write("config",
              "[profile work]\nrole_arn=arn:aws:iam::123456789012:role/worker\n"
              "source_profile=base\n");
    values_["AWS_SHARED_CREDENTIALS_FILE"] =
        write("credentials", concat("[base]\naws_access_key_id=", user.access_key_id,
                                    "\naws_secret_access_key=", user.secret_access_key, "\n"));
    auto found = chain();
    const auto got = run(found->get(soon()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_FALSE(got->session_token.empty());
    EXPECT_NE(got->access_key_id, user.access_key_id);
}

TEST_F(aws_on_moto, ec2_metadata_gives_the_instances_role) {
    values_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server_->url() + "/";
    auto found = chain();
    const auto got = run(found->get(soon()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(found->source(), "EC2 metadata");
    EXPECT_FALSE(got->access_key_id.empty());
}

}  // namespace
}  // namespace hearth::test
