#include "aws/sqs.h"

#include <charconv>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::aws {
namespace {

constexpr milliseconds attempt_timeout{10'000};
constexpr std::size_t answer_bytes_max = 16u << 20;  // ten messages, escaped

std::string text_of(simdjson::dom::element from, std::string_view name) {
    std::string_view value;
    return from[name].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

// Attributes are numbers in text.
std::int64_t number_of(simdjson::dom::element from, std::string_view name) {
    const auto text = text_of(from, name);
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::unexpected<error> not_understood(std::string_view operation) {
    return fail(errc::protocol, concat("sqs ", operation, ": the answer is not understood"));
}

// An entry of "Failed" in the answer to a batch.
error item_error(std::string_view operation, simdjson::dom::element entry) {
    bool senders_fault = true;
    [[maybe_unused]] const auto ignored = entry["SenderFault"].get(senders_fault);
    failure what;
    what.status = senders_fault ? 400 : 500;
    what.code = text_of(entry, "Code");
    what.query_code = what.code;
    what.message = text_of(entry, "Message");
    return to_error(service::sqs, operation, what);
}

// Entries of a batch are named by their place.
template <class Item, class Write>
std::string batch_body(const std::string& queue_url, const std::vector<Item>& items, Write write) {
    json::writer out;
    out.begin_object();
    out.member("QueueUrl", queue_url);
    out.begin_array("Entries");
    for (std::size_t i = 0; i < items.size(); ++i) {
        out.begin_object();
        out.member("Id", concat(i));
        write(out, items[i]);
        out.end_object();
    }
    out.end_array();
    out.end_object();
    return std::move(out).take();
}

bool place_of(simdjson::dom::element entry, std::size_t items, std::size_t& place) {
    const auto id = text_of(entry, "Id");
    const auto parsed = std::from_chars(id.data(), id.data() + id.size(), place);
    return parsed.ec == std::errc() && place < items;
}

}  // namespace

task<result<http::client_response>> sqs::ask(std::string operation, std::string body,
                                             deadline until, milliseconds timeout) {
    auto asked = api_.json_request(std::move(operation), std::move(body));
    asked.attempt_timeout = timeout;
    asked.answer_bytes_max = answer_bytes_max;
    return api_.call(std::move(asked), until);
}

task<result<sqs::item_results>> sqs::ask_batch(std::string operation, std::string body,
                                               std::size_t items, deadline until) {
    auto answer = co_await ask(operation, std::move(body), until, attempt_timeout);
    if (!answer) {
        co_return propagate(answer);
    }
    const auto parsed = json::document::parse(answer->body);
    if (!parsed) {
        co_return not_understood(operation);
    }
    // What the answer does not name has not happened.
    item_results results(items, fail(errc::unavailable,
                                     concat("sqs ", operation, ": the answer leaves an item out")));
    simdjson::dom::array list;
    std::size_t place = 0;
    if (parsed->root()["Successful"].get(list) == simdjson::SUCCESS) {
        for (const auto each : list) {
            if (place_of(each, items, place)) {
                results[place] = {};
            }
        }
    }
    if (parsed->root()["Failed"].get(list) == simdjson::SUCCESS) {
        for (const auto each : list) {
            if (place_of(each, items, place)) {
                results[place] = std::unexpected(item_error(operation, each));
            }
        }
    }
    co_return results;
}

task<result<std::vector<sqs::message>>> sqs::receive(const std::string& queue_url, std::size_t max,
                                                     seconds visibility, seconds wait,
                                                     deadline until) {
    json::writer out;
    out.begin_object();
    out.member("QueueUrl", queue_url);
    out.member("MaxNumberOfMessages", max);
    out.member("VisibilityTimeout", visibility.count());
    out.member("WaitTimeSeconds", wait.count());
    out.begin_array("MessageSystemAttributeNames");
    out.value("ApproximateReceiveCount");
    out.end_array();
    out.end_object();
    auto answer = co_await ask("ReceiveMessage", std::move(out).take(), until,
                               attempt_timeout + milliseconds(wait));
    if (!answer) {
        co_return propagate(answer);
    }
    const auto parsed = json::document::parse(answer->body);
    if (!parsed) {
        co_return not_understood("ReceiveMessage");
    }
    std::vector<message> messages;
    simdjson::dom::array list;
    if (parsed->root()["Messages"].get(list) != simdjson::SUCCESS) {
        co_return messages;  // none
    }
    for (const auto each : list) {
        message one{.id = text_of(each, "MessageId"),
                    .handle = text_of(each, "ReceiptHandle"),
                    .body = text_of(each, "Body")};
        simdjson::dom::element attributes;
        if (each["Attributes"].get(attributes) == simdjson::SUCCESS) {
            one.receive_count = number_of(attributes, "ApproximateReceiveCount");
        }
        messages.push_back(std::move(one));
    }
    co_return messages;
}

task<result<sqs::item_results>> sqs::send(const std::string& queue_url,
                                          const std::vector<outgoing>& items, deadline until) {
    return ask_batch("SendMessageBatch",
                     batch_body(queue_url, items,
                                [](json::writer& out, const outgoing& item) {
                                    out.member("MessageBody", item.body);
                                    if (item.delay.count() > 0) {
                                        out.member("DelaySeconds", item.delay.count());
                                    }
                                }),
                     items.size(), until);
}

task<result<sqs::item_results>> sqs::remove(const std::string& queue_url,
                                            const std::vector<std::string>& handles,
                                            deadline until) {
    return ask_batch("DeleteMessageBatch",
                     batch_body(queue_url, handles,
                                [](json::writer& out, const std::string& handle) {
                                    out.member("ReceiptHandle", handle);
                                }),
                     handles.size(), until);
}

task<result<sqs::item_results>> sqs::change_visibility(const std::string& queue_url,
                                                       const std::vector<visibility_change>& items,
                                                       deadline until) {
    return ask_batch("ChangeMessageVisibilityBatch",
                     batch_body(queue_url, items,
                                [](json::writer& out, const visibility_change& item) {
                                    out.member("ReceiptHandle", item.handle);
                                    out.member("VisibilityTimeout", item.visibility.count());
                                }),
                     items.size(), until);
}

task<result<sqs::counts>> sqs::measure(const std::string& queue_url, deadline until) {
    json::writer out;
    out.begin_object();
    out.member("QueueUrl", queue_url);
    out.begin_array("AttributeNames");
    out.value("ApproximateNumberOfMessages");
    out.value("ApproximateNumberOfMessagesNotVisible");
    out.value("ApproximateNumberOfMessagesDelayed");
    out.end_array();
    out.end_object();
    auto answer = co_await ask("GetQueueAttributes", std::move(out).take(), until, attempt_timeout);
    if (!answer) {
        co_return propagate(answer);
    }
    const auto parsed = json::document::parse(answer->body);
    simdjson::dom::element attributes;
    if (!parsed || parsed->root()["Attributes"].get(attributes) != simdjson::SUCCESS) {
        co_return not_understood("GetQueueAttributes");
    }
    counts out_counts;
    out_counts.visible = number_of(attributes, "ApproximateNumberOfMessages");
    out_counts.in_flight = number_of(attributes, "ApproximateNumberOfMessagesNotVisible");
    out_counts.delayed = number_of(attributes, "ApproximateNumberOfMessagesDelayed");
    co_return out_counts;
}

}  // namespace hearth::aws
