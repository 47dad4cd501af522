// The probes of SQS.

#include <array>
#include <charconv>

#include "aws/probe_support.h"
#include "aws/sqs.h"
#include "base/concat.h"
#include "base/json.h"
#include "faas/ports.h"

namespace hearth::aws {
namespace {

constexpr std::string_view service_name = "SQS";

std::string name_of(std::string_view queue_url) {
    return std::string(queue_url.substr(queue_url.rfind('/') + 1));
}

std::string attributes_body(const std::string& queue_url) {
    json::writer out;
    out.begin_object();
    out.member("QueueUrl", queue_url);
    out.begin_array("AttributeNames");
    out.value("All");
    out.end_array();
    out.end_object();
    return std::move(out).take();
}

std::string text_of(simdjson::dom::element from, std::string_view name) {
    std::string_view value;
    return from[name].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

// Of {"deadLetterTargetArn":…,"maxReceiveCount":"10"}: the number may be text. 0 without one.
std::int64_t receives_max(const std::string& policy) {
    const auto parsed = json::document::parse(policy);
    std::int64_t count = 0;
    if (parsed && parsed->root()["maxReceiveCount"].get(count) != simdjson::SUCCESS) {
        const auto text = text_of(parsed->root(), "maxReceiveCount");
        std::from_chars(text.data(), text.data() + text.size(), count);
    }
    return count;
}

// What Hearth needs of a queue's attributes; what they are, for people.
result<std::string> judge(const std::string& answer, queue_role role) {
    const auto parsed = json::document::parse(answer);
    simdjson::dom::element attributes;
    if (!parsed || parsed->root()["Attributes"].get(attributes) != simdjson::SUCCESS) {
        return fail(errc::protocol, "the answer is not understood; is this SQS?");
    }
    if (text_of(attributes, "FifoQueue") == "true") {
        return fail(errc::invalid_argument,
                    "it is a FIFO queue; Hearth needs standard queues, which deliver out of order "
                    "and are not limited in rate");
    }
    std::string seen = concat("standard queue, about ",
                              text_of(attributes, "ApproximateNumberOfMessages"), " waiting");
    const auto policy = text_of(attributes, "RedrivePolicy");
    if (role == queue_role::dead_letters) {
        return seen;
    }
    if (policy.empty()) {
        return concat(seen,
                      "; no redrive policy: a job that takes its worker down each time is "
                      "never set aside");
    }
    const auto count = receives_max(policy);
    if (count < faas::attempts_max) {
        return fail(
            errc::invalid_argument,
            concat("its redrive policy has maxReceiveCount ", count, ", fewer than a job's ",
                   faas::attempts_max, " attempts; 10 are right (docs/fleet.md, Queues)"));
    }
    return concat(seen, ", set aside after ", count, " receives");
}

// A request for each right that SQS must refuse, whoever asks.
struct refusable {
    std::string_view right;
    std::string_view operation;
    std::string_view members;
};
constexpr refusable send{"sqs:SendMessage", "SendMessage",
                         R"("MessageBody":"\uffff","DelaySeconds":901)"};  // neither is allowed
constexpr refusable receive{
    "sqs:ReceiveMessage", "ReceiveMessage",
    R"("MaxNumberOfMessages":11,"VisibilityTimeout":43201,"WaitTimeSeconds":21)"};
constexpr refusable remove{"sqs:DeleteMessage", "DeleteMessage", R"("ReceiptHandle":"none")"};
constexpr refusable change{"sqs:ChangeMessageVisibility", "ChangeMessageVisibility",
                           R"("ReceiptHandle":"none","VisibilityTimeout":0)"};

task<probe> try_right(client& sqs, std::string queue_url, refusable what, deadline until) {
    json::writer url;
    url.value(queue_url);
    const auto answer =
        co_await ask(sqs, std::string(what.operation),
                     concat(R"({"QueueUrl":)", url.view(), ',', what.members, '}'), until);
    co_return right_probe(service_name, name_of(queue_url), what.right, without_value(answer));
}

}  // namespace

task<std::vector<probe>> probe_queue(client& sqs, std::string queue_url, queue_role role,
                                     program asking, deadline until) {
    std::vector<probe> lines;
    probe first{std::string(service_name), name_of(queue_url), "sqs:GetQueueAttributes", {}};
    auto attributes = co_await ask(sqs, "GetQueueAttributes", attributes_body(queue_url), until);
    if (!attributes) {
        first.seen =
            std::unexpected(with_remedy(std::move(attributes.error()), first.tried, first.target));
        const bool may_go_on = first.seen.error().code == errc::permission_denied;
        lines.push_back(std::move(first));
        if (!may_go_on) {
            co_return lines;  // it would say the same of every right
        }
    } else {
        first.seen = judge(*attributes, role);
        lines.push_back(std::move(first));
    }
    lines.push_back(co_await try_right(sqs, queue_url, send, until));
    // Workers take jobs, controllers look after dead letters.
    if ((asking == program::worker) == (role == queue_role::jobs)) {
        for (const auto& each : {receive, remove, change}) {
            lines.push_back(co_await try_right(sqs, queue_url, each, until));
        }
    }
    co_return lines;
}

}  // namespace hearth::aws
