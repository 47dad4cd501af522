// What --check-config says of services that are as they should be, misconfigured, or closed to us.

#include "aws/probes.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/unit/aws/services_fixture.h"

namespace hearth::aws {
namespace {

using test::json_refusal;
using test::xml_refusal;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::string_view good_queue =
    R"({"Attributes":{"ApproximateNumberOfMessages":"7","RedrivePolicy":)"
    R"("{\"deadLetterTargetArn\":\"arn:x\",\"maxReceiveCount\":\"10\"}"}})";
constexpr std::string_view good_functions =
    R"({"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],)"
    R"("GlobalSecondaryIndexes":[{"IndexName":"by_creation","KeySchema":[)"
    R"({"AttributeName":"kind","KeyType":"HASH"},{"AttributeName":"created","KeyType":"RANGE"}],)"
    R"("Projection":{"ProjectionType":"ALL"}}]}})";
constexpr std::string_view good_invocations =
    R"({"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"job_id","KeyType":"HASH"}]}})";

class aws_probes : public testing::Test, public test::http_fixture {
protected:
    aws_probes() {
        service_.on(method::post, "/", [this](const asked_request& asked) {
            const auto target = asked.header("x-amz-target");
            const std::string operation = target.empty() ? test::form_value(asked.body, "Action")
                                                         : target.substr(target.rfind('.') + 1);
            return serve(operation, target.empty());
        });
    }
    ~aws_probes() override { end(); }

    response serve(const std::string& operation, bool is_query) {
        asked_.push_back(operation);
        if (forbidden_ == operation || forbidden_ == "everything") {
            return is_query ? xml_refusal(403, "AccessDenied")
                            : json_refusal(400, "AccessDeniedException");
        }
        const auto found = answers_.find(operation);
        if (found != answers_.end()) {
            return is_query ? response::text(200, found->second)
                            : response::json(200, found->second);
        }
        // What AWS says to a request that nobody may make.
        if (operation == "PutItem" || operation == "UpdateItem" || operation == "DeleteItem") {
            return json_refusal(400, "ConditionalCheckFailedException");
        }
        if (operation == "BatchGetItem") {
            return response::json(200, R"({"Responses":{"invocations":[]}})");
        }
        if (operation == "GetItem" || operation == "Query") {
            return response::json(200, R"({"Items":[]})");
        }
        return is_query ? xml_refusal(400, "InvalidParameterValue")
                        : json_refusal(400, "InvalidParameterValue");
    }
    client make(service which) { return {transport(), &keys_, config_, which, test::impatient()}; }
    std::vector<probe> queue(queue_role role, program asking) {
        auto sqs = make(service::sqs);
        return loop().run(probe_queue(sqs, "https://q/1/hearth-jobs", role, asking, soon()));
    }
    std::vector<probe> functions(program asking) {
        auto dynamodb = make(service::dynamodb);
        return loop().run(probe_function_table(dynamodb, "functions", asking, soon()));
    }
    std::vector<probe> invocations(program asking) {
        auto dynamodb = make(service::dynamodb);
        return loop().run(probe_invocation_table(dynamodb, "invocations", asking, soon()));
    }
    static std::vector<std::string> rights(const std::vector<probe>& lines) {
        std::vector<std::string> out;
        std::ranges::transform(lines, std::back_inserter(out), &probe::tried);
        return out;
    }
    static std::vector<std::string> problems(const std::vector<probe>& lines) {
        std::vector<std::string> out;
        for (const auto& each : lines) {
            if (!each.seen) {
                out.push_back(concat(each.tried, ": ", each.seen.error().message));
            }
        }
        return out;
    }

    test::scripted_service service_{loop()};
    fixed_credentials keys_{{"AKID", "secret", ""}};
    settings config_ = test::settings_for(service_.url());
    std::map<std::string, std::string, std::less<>> answers_{
        {"GetQueueAttributes", std::string(good_queue)}};
    std::string forbidden_;
    std::vector<std::string> asked_;
};

TEST_F(aws_probes, a_good_queue_and_every_right_are_told) {
    const auto lines = queue(queue_role::jobs, program::worker);
    EXPECT_THAT(problems(lines), SizeIs(0));
    EXPECT_THAT(rights(lines),
                IsSupersetOf({"sqs:GetQueueAttributes", "sqs:SendMessage", "sqs:ReceiveMessage",
                              "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}));
    EXPECT_EQ(lines.front().target, "hearth-jobs");
    EXPECT_THAT(lines.front().seen.value(), HasSubstr("set aside after 10 receives"));
    EXPECT_THAT(rights(queue(queue_role::jobs, program::controller)),
                Not(Contains("sqs:ReceiveMessage")));
}

TEST_F(aws_probes, a_missing_right_is_named_with_what_it_is_wanted_on) {
    for (const auto& [operation, right] :
         {std::pair{"SendMessage", "sqs:SendMessage"},
          std::pair{"ReceiveMessage", "sqs:ReceiveMessage"},
          std::pair{"GetQueueAttributes", "sqs:GetQueueAttributes"}}) {
        forbidden_ = operation;
        const auto found = problems(queue(queue_role::jobs, program::worker));
        ASSERT_THAT(found, SizeIs(1)) << operation;
        EXPECT_THAT(found.front(), HasSubstr(concat("allow ", right, " on hearth-jobs")));
    }
}

TEST_F(aws_probes, a_queue_that_loses_jobs_is_a_problem_and_one_without_redrive_a_remark) {
    answers_["GetQueueAttributes"] =
        R"({"Attributes":{"RedrivePolicy":"{\"maxReceiveCount\":2}"}})";
    auto found = problems(queue(queue_role::jobs, program::worker));
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found.front(), HasSubstr("maxReceiveCount 2"));
    answers_["GetQueueAttributes"] = R"({"Attributes":{"FifoQueue":"true"}})";
    found = problems(queue(queue_role::dead_letters, program::worker));
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found.front(), HasSubstr("FIFO"));
    answers_["GetQueueAttributes"] = R"({"Attributes":{}})";
    const auto lines = queue(queue_role::jobs, program::worker);
    EXPECT_THAT(problems(lines), SizeIs(0));
    EXPECT_THAT(lines.front().seen.value(), HasSubstr("no redrive policy"));
}

TEST_F(aws_probes, a_queue_that_is_not_there_is_one_line_and_no_right_is_tried) {
    service_.on(method::post, "/gone/",
                [](const asked_request&) { return json_refusal(400, "QueueDoesNotExist"); });
    config_ = test::settings_for(service_.url("/gone"));
    const auto lines = queue(queue_role::jobs, program::worker);
    ASSERT_THAT(lines, SizeIs(1));
    EXPECT_EQ(lines.front().seen.error().code, errc::unavailable);
    EXPECT_THAT(lines.front().seen.error().message, HasSubstr("is the name right"));
}

TEST_F(aws_probes, a_table_with_the_right_key_and_index_is_good_for_both_programs) {
    answers_["DescribeTable"] = good_functions;
    EXPECT_THAT(problems(functions(program::worker)), SizeIs(0));
    EXPECT_THAT(asked_, Not(Contains("PutItem")));
    const auto lines = functions(program::controller);
    EXPECT_THAT(problems(lines), SizeIs(0));
    EXPECT_THAT(rights(lines),
                IsSupersetOf({"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem",
                              "dynamodb:GetItem", "dynamodb:Query"}));
}

TEST_F(aws_probes, a_table_that_was_made_for_something_else_is_a_problem) {
    answers_["DescribeTable"] = good_invocations;
    EXPECT_THAT(problems(functions(program::worker)).front(), HasSubstr("its key is not"));
    std::string no_index(good_functions);
    no_index.replace(no_index.find("RANGE"), 5, "HASH ");
    answers_["DescribeTable"] = no_index;
    EXPECT_THAT(problems(functions(program::worker)).front(), HasSubstr("no index by_creation"));
    std::string deleting(good_functions);
    deleting.replace(deleting.find("ACTIVE"), 6, "DELETING");
    answers_["DescribeTable"] = deleting;
    EXPECT_THAT(problems(functions(program::worker)).front(), HasSubstr("DELETING"));
}

TEST_F(aws_probes, records_that_are_never_deleted_are_remarked) {
    answers_["DescribeTable"] = good_invocations;
    answers_["DescribeTimeToLive"] = R"({"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}})";
    auto lines = invocations(program::worker);
    EXPECT_THAT(problems(lines), SizeIs(0));
    EXPECT_THAT(lines[1].seen.value(), HasSubstr("never deleted"));
    answers_["DescribeTimeToLive"] =
        R"({"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"expires_at"}})";
    lines = invocations(program::controller);
    EXPECT_THAT(lines[1].seen.value(), HasSubstr("deleted by expires_at"));
    EXPECT_THAT(rights(lines), IsSupersetOf({"dynamodb:GetItem", "dynamodb:PutItem"}));
    EXPECT_THAT(rights(invocations(program::worker)), Contains("dynamodb:BatchGetItem"));
}

class aws_bucket_probes : public aws_probes {
protected:
    std::vector<probe> bucket(program asking) {
        auto s3 = make(service::s3);
        return loop().run(probe_bucket(s3, "code-bucket", asking, soon()));
    }
    // S3 as it is for a bucket in the path.
    void serve_bucket(std::string refused_method) {
        service_.on(method::get, "/code-bucket/", [=](const asked_request&) {
            return refused_method == "all" ? xml_refusal(403, "AccessDenied")
                                           : response::text(200, "<ListBucketResult/>");
        });
        for (const std::string prefix : {"code", "events", "records"}) {
            for (const auto each : {method::get, method::put, method::delete_}) {
                service_.on(each, concat("/code-bucket/", prefix, "/:key"),
                            [=, this](const asked_request& asked) {
                                changes_ += each != method::get && asked.query("uploadId").empty();
                                const bool refused =
                                    refused_method == "all" ||
                                    (refused_method == "PUT" && each == method::put);
                                return refused ? xml_refusal(403, "AccessDenied")
                                               : xml_refusal(404, "NoSuchUpload");
                            });
            }
        }
    }
    int changes_ = 0;
};

TEST_F(aws_bucket_probes, every_right_on_objects_is_tried_without_a_request_that_could_change_one) {
    serve_bucket("");
    const auto lines = bucket(program::controller);
    EXPECT_THAT(problems(lines), SizeIs(0));
    EXPECT_THAT(rights(lines), IsSupersetOf({"s3:ListBucket", "s3:GetObject", "s3:PutObject",
                                             "s3:AbortMultipartUpload", "s3:DeleteObject"}));
    EXPECT_EQ(changes_, 0);
    EXPECT_THAT(rights(bucket(program::worker)), Not(Contains("s3:AbortMultipartUpload")));
}

TEST_F(aws_bucket_probes, a_right_to_write_that_is_missing_is_named_for_each_kind_of_object) {
    serve_bucket("PUT");
    const auto found = problems(bucket(program::controller));
    ASSERT_THAT(found, SizeIs(3));
    EXPECT_THAT(found[0], HasSubstr("allow s3:PutObject on code-bucket/code/*"));
    EXPECT_THAT(found[1], HasSubstr("code-bucket/events/*"));
    EXPECT_THAT(found[2], HasSubstr("code-bucket/records/*"));
}

TEST_F(aws_probes, who_this_program_is_is_told_or_why_nobody_knows) {
    answers_["GetCallerIdentity"] = "<Arn>arn:aws:sts::1:assumed-role/worker/i-1</Arn>";
    auto sts = make(service::sts);
    EXPECT_EQ(loop().run(probe_identity(sts, soon())).seen.value(),
              "arn:aws:sts::1:assumed-role/worker/i-1");
    forbidden_ = "everything";
    EXPECT_FALSE(loop().run(probe_identity(sts, soon())).seen);
}

TEST_F(aws_probes, the_groups_rights_are_tried_without_letting_the_host_go) {
    answers_["DescribeAutoScalingInstances"] = "<AutoScalingGroupName>g</AutoScalingGroupName>";
    answers_["DescribeLifecycleHooks"] =
        "<LifecycleHooks><member><LifecycleHookName>h</LifecycleHookName><LifecycleTransition>"
        "autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition></member></LifecycleHooks>";
    auto group = make(service::auto_scaling);
    const auto lines = loop().run(probe_lifecycle(group, "i-1", soon()));
    EXPECT_THAT(problems(lines), SizeIs(0));
    EXPECT_THAT(asked_, Not(Contains("CompleteLifecycleAction")));
    forbidden_ = "RecordLifecycleActionHeartbeat";
    EXPECT_THAT(problems(loop().run(probe_lifecycle(group, "i-1", soon()))), SizeIs(1));
    forbidden_ = "DescribeAutoScalingInstances";
    EXPECT_THAT(problems(loop().run(probe_lifecycle(group, "i-1", soon()))), SizeIs(1));
}

TEST_F(aws_probes, the_right_to_publish_is_tried_with_what_cloudwatch_refuses) {
    auto metrics = make(service::cloudwatch);
    EXPECT_TRUE(loop().run(probe_backlog_metric(metrics, soon())).seen);
    forbidden_ = "PutMetricData";
    EXPECT_THAT(loop().run(probe_backlog_metric(metrics, soon())).seen.error().message,
                HasSubstr("allow cloudwatch:PutMetricData on Hearth/BacklogPerInstance"));
}

TEST_F(aws_probes, a_reference_is_told_by_its_name_and_setting_and_never_by_its_value) {
    answers_["GetParameter"] = R"({"Parameter":{"Value":"s3cr3t-value"}})";
    auto ssm = make(service::ssm);
    auto secrets = make(service::secrets_manager);
    const auto lines = loop().run(
        probe_references({{"INFRA_API_KEY", secret_service::ssm, "/key", ""},
                          {"WORKER_TOKEN", secret_service::secretsmanager, "absent", "token"}},
                         ssm, secrets, soon()));
    ASSERT_THAT(lines, SizeIs(2));
    EXPECT_EQ(lines[0].seen.value(), "read, for INFRA_API_KEY");
    EXPECT_EQ(lines[1].target, "absent#token");
    EXPECT_FALSE(lines[1].seen);
}

// --- against the documented policies ------------------------------------------------------------

// The rights that docs/fleet.md grants to a program.
std::set<std::string> documented_rights(std::string_view program_name) {
    std::ifstream file(HEARTH_FLEET_DOCUMENT);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto title = text.find(concat("### Role of ", program_name));
    constexpr std::string_view fence = "```json\n";
    const auto start = text.find(fence, title) + fence.size();
    const auto policy = json::document::parse(text.substr(start, text.find("```", start) - start));
    std::set<std::string> out;
    for (const auto statement : policy.value().root()["Statement"].get_array().value()) {
        const auto action = statement["Action"];
        std::string_view one;
        if (action.get(one) == simdjson::SUCCESS) {
            out.emplace(one);
            continue;
        }
        for (const auto each : action.get_array().value()) {
            out.emplace(each.get_string().value());
        }
    }
    return out;
}

TEST_F(aws_bucket_probes, each_program_is_asked_for_exactly_the_rights_that_its_policy_grants) {
    serve_bucket("");
    answers_["DescribeAutoScalingInstances"] = "<AutoScalingGroupName>g</AutoScalingGroupName>";
    answers_["DescribeLifecycleHooks"] =
        "<LifecycleHooks><member><LifecycleHookName>h</LifecycleHookName><LifecycleTransition>"
        "autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition></member></LifecycleHooks>";
    auto ssm = make(service::ssm);
    auto secrets = make(service::secrets_manager);
    auto group = make(service::auto_scaling);
    auto metrics = make(service::cloudwatch);
    for (const auto asking : {program::controller, program::worker}) {
        std::set<std::string> tried;
        const auto add = [&](const std::vector<probe>& lines) {
            for (const auto& each : lines) {
                tried.insert(each.tried);
            }
        };
        add(queue(queue_role::jobs, asking));
        add(queue(queue_role::dead_letters, asking));
        add(bucket(asking));
        answers_["DescribeTable"] = good_functions;
        add(functions(asking));
        answers_["DescribeTable"] = good_invocations;
        add(invocations(asking));
        add(loop().run(probe_references(
            {{"A", secret_service::ssm, "a", ""}, {"B", secret_service::secretsmanager, "b", ""}},
            ssm, secrets, soon())));
        if (asking == program::controller) {
            add({loop().run(probe_backlog_metric(metrics, soon()))});
            EXPECT_EQ(tried, documented_rights("hearth-controller"));
        } else {
            add(loop().run(probe_lifecycle(group, "i-1", soon())));
            EXPECT_EQ(tried, documented_rights("hearth-worker"));
        }
    }
}

}  // namespace
}  // namespace hearth::aws
