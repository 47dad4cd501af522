#pragma once

#include <memory>
#include <optional>
#include <string>

#include "aws/client.h"
#include "aws/code_store.h"
#include "aws/function_table.h"
#include "aws/invocation_log.h"
#include "aws/job_queue.h"
#include "aws/s3.h"
#include "base/check.h"
#include "base/concat.h"
#include "base/ids.h"
#include "base/json.h"
#include "coro/thread_pool.h"
#include "coro/wait_list.h"
#include "faas/job_ids.h"
#include "faas/ports.h"
#include "tests/support/http_fixture.h"
#include "tests/support/stand_in.h"

// The AWS implementations for the conformance suites and their own tests, on stand-ins.

namespace hearth::test {

[[nodiscard]] inline aws::settings settings_at(const std::string& url) {
    return aws::settings::read([&](std::string_view name) -> std::optional<std::string> {
               if (name == "AWS_REGION") {
                   return "us-east-1";
               }
               return name == "AWS_ENDPOINT_URL" ? std::optional(url) : std::nullopt;
           })
        .value();
}

// Of CreateTable, beside the name and the billing mode.
inline constexpr std::string_view functions_table = R"("AttributeDefinitions":[
    {"AttributeName":"id","AttributeType":"S"},
    {"AttributeName":"kind","AttributeType":"S"},
    {"AttributeName":"created","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
    "GlobalSecondaryIndexes":[{"IndexName":"by_creation","KeySchema":[
    {"AttributeName":"kind","KeyType":"HASH"},
    {"AttributeName":"created","KeyType":"RANGE"}],
    "Projection":{"ProjectionType":"ALL"}}])";
inline constexpr std::string_view invocations_table = R"("AttributeDefinitions":[
    {"AttributeName":"job_id","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"job_id","KeyType":"HASH"}])";

// What all have: credentials, and calls that must succeed.
class aws_fixture : public http_fixture {
public:
    using kind = stand_in::kind;

    std::string ask(aws::client& of, aws::request asked) {
        auto answer = loop().run(of.call(std::move(asked), after(seconds(30))));
        HEARTH_CHECK(answer.has_value(), answer ? "" : answer.error().message);
        return std::move(answer->body);
    }
    std::string ask_json(aws::client& of, std::string operation, std::string body) {
        return ask(of, of.json_request(std::move(operation), std::move(body)));
    }

protected:
    void make_bucket(std::optional<aws::client>& s3, std::optional<aws::bucket>& made) {
        const auto config = settings_at(stand_in::shared(kind::sqs_s3).url());
        s3.emplace(transport(), &keys_, config, aws::service::s3);
        made.emplace(*s3, concat("bucket-", make_uuid()));
        ask(*s3, {.operation = "CreateBucket",
                  .method = "PUT",
                  .path = "",
                  .where = config.bucket_endpoint(made->name())});
    }

    aws::fixed_credentials keys_{{"test", "test", ""}};
};

// SQS and S3 with two queues and a bucket of its own.
class aws_queue_fixture : public aws_fixture {
public:
    explicit aws_queue_fixture(std::string redrive_count = {}) {
        if (missing().empty()) {
            set_up(redrive_count);
        }
    }
    ~aws_queue_fixture() {
        if (queue_) {
            stop_queue();
        }
        end();
    }

    [[nodiscard]] static std::string missing() { return stand_in::missing(kind::sqs_s3); }
    aws::job_queue& port() { return *queue_; }
    void pass(milliseconds time) {
        loop().run([](milliseconds rest) -> task<void> {
            [[maybe_unused]] const auto slept = co_await sleep_until(after(rest));
        }(time));
    }
    [[nodiscard]] static milliseconds tick() { return seconds(1); }  // SQS knows whole seconds
    [[nodiscard]] static bool tells_duplicates() { return false; }

    // A second process's view of the same queues.
    [[nodiscard]] std::unique_ptr<aws::job_queue> another() {
        return std::make_unique<aws::job_queue>(*sqs_, *events_, queue_settings_);
    }
    aws::client& sqs() { return *sqs_; }
    aws::bucket& bucket() { return *bucket_; }
    [[nodiscard]] const std::string& queue_url() const { return queue_settings_.queue_url; }
    [[nodiscard]] const std::string& dead_letter_url() const {
        return queue_settings_.dead_letter_url;
    }
    void stop_queue() {
        queue_running_->request_stop();
        loop().run(queue_running_->join());
        queue_running_.reset();
        queue_.reset();
    }

private:
    void set_up(const std::string& redrive_count) {
        const auto config = settings_at(stand_in::shared(kind::sqs_s3).url());
        sqs_.emplace(transport(), &keys_, config, aws::service::sqs);
        make_bucket(s3_, bucket_);
        events_.emplace(*bucket_, "events/");
        const auto name = make_uuid();
        queue_settings_.dead_letter_url = make_queue(concat(name, "-dead"), {});
        std::string policy;
        if (!redrive_count.empty()) {
            policy = concat(R"({"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:)", name,
                            R"(-dead","maxReceiveCount":)", redrive_count, "}");
        }
        queue_settings_.queue_url = make_queue(name, policy);
        queue_.emplace(*sqs_, *events_, queue_settings_);
        queue_running_.emplace();
        queue_running_->spawn(queue_->run());
        loop().run_ready_tasks();
    }
    std::string make_queue(const std::string& name, const std::string& redrive_policy) {
        json::writer out;
        out.begin_object();
        out.member("QueueName", name);
        if (!redrive_policy.empty()) {
            out.begin_object("Attributes");
            out.member("RedrivePolicy", redrive_policy);
            out.end_object();
        }
        out.end_object();
        const auto answer = ask_json(*sqs_, "CreateQueue", std::move(out).take());
        return std::string(
            json::document::parse(answer).value().root()["QueueUrl"].get_string().value());
    }

    std::optional<aws::client> sqs_;
    std::optional<aws::client> s3_;
    std::optional<aws::bucket> bucket_;
    std::optional<aws::blobs> events_;
    aws::job_queue_settings queue_settings_;
    std::optional<aws::job_queue> queue_;
    std::optional<scope> queue_running_;
};

// A DynamoDB table of its own.
class aws_table_base : public aws_fixture {
protected:
    std::string make_table(std::string_view definition) {
        dynamodb_.emplace(transport(), &keys_, settings_at(stand_in::shared(kind::dynamodb).url()),
                          aws::service::dynamodb);
        const auto name = concat("table-", make_uuid());
        ask_json(*dynamodb_, "CreateTable",
                 concat(R"({"TableName":")", name, R"(","BillingMode":"PAY_PER_REQUEST",)",
                        definition, "}"));
        // A table is made behind the answer.
        while (!ask_json(*dynamodb_, "DescribeTable", concat(R"({"TableName":")", name, R"("})"))
                    .contains(R"("TableStatus":"ACTIVE")")) {
            loop().run_ready_tasks();
        }
        return name;
    }
    std::optional<aws::client> dynamodb_;
};

class aws_table_fixture : public aws_table_base {
public:
    aws_table_fixture() {
        if (missing().empty()) {
            table_.emplace(*dynamodb_after(functions_table), name_);
        }
    }
    ~aws_table_fixture() { end(); }
    [[nodiscard]] static std::string missing() { return stand_in::missing(kind::dynamodb); }
    aws::function_table& port() { return *table_; }
    aws::client& dynamodb() { return *dynamodb_; }
    [[nodiscard]] const std::string& table_name() const { return name_; }

private:
    aws::client* dynamodb_after(std::string_view definition) {
        name_ = make_table(definition);
        return &*dynamodb_;
    }
    std::string name_;
    std::optional<aws::function_table> table_;
};

class aws_log_fixture : public aws_table_base {
public:
    aws_log_fixture() {
        if (missing().empty()) {
            name_ = make_table(invocations_table);
            make_bucket(s3_, bucket_);
            large_.emplace(*bucket_, "records/");
            log_.emplace(
                *dynamodb_, *large_,
                aws::invocation_log_settings{
                    .table_name = name_,
                    .issued_at = [this](std::string_view id) { return ids_.issued_at(id); },
                    .now =
                        [this] {
                            return wall_clock_ms() + passed_;
                        }});
        }
    }
    ~aws_log_fixture() { end(); }
    [[nodiscard]] static std::string missing() {
        const auto dynamodb = stand_in::missing(kind::dynamodb);
        return dynamodb.empty() ? stand_in::missing(kind::sqs_s3) : dynamodb;
    }
    aws::invocation_log& port() { return *log_; }
    aws::bucket& bucket() { return *bucket_; }
    aws::client& dynamodb() { return *dynamodb_; }
    [[nodiscard]] const faas::job_ids& ids() const { return ids_; }
    [[nodiscard]] const std::string& table_name() const { return name_; }
    void pass(milliseconds time) { passed_ += time.count(); }

private:
    std::string name_;
    faas::job_ids ids_{"a secret"};
    epoch_ms passed_ = 0;
    std::optional<aws::client> s3_;
    std::optional<aws::bucket> bucket_;
    std::optional<aws::blobs> large_;
    std::optional<aws::invocation_log> log_;
};

class aws_code_fixture : public aws_fixture {
public:
    aws_code_fixture() {
        if (missing().empty()) {
            make_bucket(s3_, bucket_);
            store_.emplace(*bucket_, blocking_);
        }
    }
    ~aws_code_fixture() { end(); }
    [[nodiscard]] static std::string missing() { return stand_in::missing(kind::sqs_s3); }
    aws::code_store& port() { return *store_; }
    aws::bucket& bucket() { return *bucket_; }
    aws::client& s3() { return *s3_; }

private:
    thread_pool blocking_{2, 64};
    std::optional<aws::client> s3_;
    std::optional<aws::bucket> bucket_;
    std::optional<aws::code_store> store_;
};

}  // namespace hearth::test
