#include "aws/dynamodb.h"

#include <algorithm>
#include <charconv>

#include "aws/retry.h"
#include "aws/text.h"
#include "base/concat.h"
#include "base/ids.h"
#include "base/json.h"
#include "coro/wait_list.h"

namespace hearth::aws {
namespace {

constexpr std::size_t answer_bytes_max = 32u << 20;  // AWS sends 1 MB of items at most, escaped
constexpr pause_range unprocessed_pauses{.base = milliseconds(50)};

std::string_view type_name(attribute::type kind) {
    switch (kind) {
        case attribute::type::text:
            return "S";
        case attribute::type::number:
            return "N";
        case attribute::type::bytes:
            return "B";
        case attribute::type::flag:
            return "BOOL";
    }
    return "";
}

void write_item(json::writer& out, const item& what) {
    out.begin_object();
    for (const auto& [name, value] : what) {
        out.begin_object(name);
        out.key(type_name(value.kind()));
        if (value.kind() == attribute::type::flag) {
            out.value(!value.raw().empty());
        } else if (value.kind() == attribute::type::bytes) {
            out.value(base64_encode(value.raw()));
        } else {
            out.value(value.raw());
        }
        out.end_object();
    }
    out.end_object();
}

// Attributes of types that Hearth does not write are left out.
item read_item(simdjson::dom::object from) {
    item out;
    for (const auto field : from) {
        std::string_view text;
        bool flag = false;
        const std::string name(field.key);
        if (field.value["S"].get(text) == simdjson::SUCCESS) {
            out.emplace(name, attribute::text(std::string(text)));
        } else if (field.value["N"].get(text) == simdjson::SUCCESS) {
            std::int64_t number = 0;
            std::from_chars(text.data(), text.data() + text.size(), number);
            out.emplace(name, attribute::number(number));
        } else if (field.value["B"].get(text) == simdjson::SUCCESS) {
            if (auto bytes = base64_decode(text)) {
                out.emplace(name, attribute::bytes(std::move(*bytes)));
            }
        } else if (field.value["BOOL"].get(flag) == simdjson::SUCCESS) {
            out.emplace(name, attribute::flag(flag));
        }
    }
    return out;
}

void append_items(simdjson::dom::array from, std::vector<item>& into) {
    for (const auto each : from) {
        simdjson::dom::object one;
        if (each.get(one) == simdjson::SUCCESS) {
            into.push_back(read_item(one));
        }
    }
}

// The end of a request on one table, after what is its own.
std::string finish(json::writer& out, const expressions& how, const item& start = {}) {
    if (!start.empty()) {
        out.key("ExclusiveStartKey");
        write_item(out, start);
    }
    const auto write = [&out](std::string_view name, const std::string& text) {
        if (!text.empty()) {
            out.member(name, text);
        }
    };
    write("ConditionExpression", how.condition);
    write("UpdateExpression", how.update);
    write("KeyConditionExpression", how.key_condition);
    write("FilterExpression", how.filter);
    if (!how.names.empty()) {
        out.begin_object("ExpressionAttributeNames");
        for (const auto& [name, meaning] : how.names) {
            out.member(name, meaning);
        }
        out.end_object();
    }
    if (!how.values.empty()) {
        out.key("ExpressionAttributeValues");
        write_item(out, how.values);
    }
    out.end_object();
    return std::move(out).take();
}

// {"TableName", `what` (an item), expressions}
std::string body_with(const std::string& table, std::string_view what, const item& content,
                      const expressions& how) {
    json::writer out;
    out.begin_object();
    out.member("TableName", table);
    out.key(what);
    write_item(out, content);
    return finish(out, how);
}

// {"RequestItems": {table: `requests`}}
std::string batch_body(const std::string& table, std::string_view requests) {
    json::writer out;
    out.begin_object();
    out.begin_object("RequestItems");
    out.member_raw(table, requests);
    out.end_object();
    out.end_object();
    return std::move(out).take();
}

task<result<>> without_answer(task<result<http::client_response>> asked) {
    auto answer = co_await std::move(asked);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return result<>{};
}

std::unexpected<error> not_understood() {
    return fail(errc::protocol, "DynamoDB's answer is not understood");
}

task<result<json::document>> parsed(task<result<http::client_response>> asked) {
    auto answer = co_await std::move(asked);
    if (!answer) {
        co_return propagate(answer);
    }
    auto document = json::document::parse(answer->body);
    if (!document) {
        co_return not_understood();
    }
    co_return document;
}

const std::string* raw_value(const item& in, std::string_view name, attribute::type kind) {
    const auto found = in.find(name);
    return found != in.end() && found->second.kind() == kind ? &found->second.raw() : nullptr;
}

}  // namespace

attribute attribute::number(std::int64_t value) {
    return {type::number, concat(value)};
}

std::string item::text(std::string_view name) const {
    const auto* found = raw_value(*this, name, attribute::type::text);
    return found != nullptr ? *found : std::string();
}

std::string item::bytes(std::string_view name) const {
    const auto* found = raw_value(*this, name, attribute::type::bytes);
    return found != nullptr ? *found : std::string();
}

std::int64_t item::number(std::string_view name) const {
    const auto* found = raw_value(*this, name, attribute::type::number);
    std::int64_t value = 0;
    if (found != nullptr) {
        std::from_chars(found->data(), found->data() + found->size(), value);
    }
    return value;
}

bool item::flag(std::string_view name) const {
    const auto* found = raw_value(*this, name, attribute::type::flag);
    return found != nullptr && !found->empty();
}

task<result<http::client_response>> table::ask(std::string operation, std::string body,
                                               deadline until) {
    auto asked = api_.json_request(std::move(operation), std::move(body));
    asked.answer_bytes_max = answer_bytes_max;
    return api_.call(std::move(asked), until);
}

task<result<std::optional<item>>> table::get(item key, deadline until) {
    json::writer out;
    out.begin_object();
    out.member("TableName", name_);
    out.member("ConsistentRead", true);
    out.key("Key");
    write_item(out, key);
    out.end_object();
    auto answer = co_await parsed(ask("GetItem", std::move(out).take(), until));
    if (!answer) {
        co_return propagate(answer);
    }
    simdjson::dom::object found;
    if (answer->root()["Item"].get(found) != simdjson::SUCCESS) {
        co_return std::optional<item>();
    }
    co_return std::optional<item>(read_item(found));
}

task<result<std::vector<item>>> table::get_all(std::vector<item> keys, std::string projection,
                                               deadline until) {
    std::vector<item> found;
    for (int round = 1;; ++round) {
        json::writer wanted;
        wanted.begin_object();
        wanted.member("ConsistentRead", true);
        wanted.member("ProjectionExpression", projection);
        wanted.begin_array("Keys");
        for (const auto& each : keys) {
            write_item(wanted, each);
        }
        wanted.end_array();
        wanted.end_object();
        auto answer = co_await parsed(ask("BatchGetItem", batch_body(name_, wanted.view()), until));
        if (!answer) {
            co_return propagate(answer);
        }
        simdjson::dom::array list;
        if (answer->root()["Responses"][name_].get(list) != simdjson::SUCCESS) {
            co_return not_understood();
        }
        append_items(list, found);
        keys.clear();
        if (answer->root()["UnprocessedKeys"][name_]["Keys"].get(list) == simdjson::SUCCESS) {
            append_items(list, keys);
        }
        if (keys.empty()) {
            co_return found;
        }
        if (auto paused = co_await pause_for_unprocessed(keys.size(), round, until); !paused) {
            co_return propagate(paused);
        }
    }
}

task<result<>> table::put(const item& what, const expressions& how, deadline until) {
    return without_answer(ask("PutItem", body_with(name_, "Item", what, how), until));
}

task<result<>> table::update(const item& key, const expressions& how, deadline until) {
    return without_answer(ask("UpdateItem", body_with(name_, "Key", key, how), until));
}

task<result<>> table::remove(const item& key, const expressions& how, deadline until) {
    return without_answer(ask("DeleteItem", body_with(name_, "Key", key, how), until));
}

task<result<table::page>> table::ask_page(std::string operation, std::string body, deadline until) {
    auto answer = co_await parsed(ask(std::move(operation), std::move(body), until));
    if (!answer) {
        co_return propagate(answer);
    }
    simdjson::dom::array items;
    if (answer->root()["Items"].get(items) != simdjson::SUCCESS) {
        co_return not_understood();
    }
    page out;
    append_items(items, out.items);
    simdjson::dom::object last;
    if (answer->root()["LastEvaluatedKey"].get(last) == simdjson::SUCCESS) {
        out.next = read_item(last);
    }
    co_return out;
}

task<result<table::page>> table::query(const std::string& index, const expressions& how,
                                       std::size_t limit, const item& start, deadline until) {
    json::writer out;
    out.begin_object();
    out.member("TableName", name_);
    if (!index.empty()) {
        out.member("IndexName", index);
    }
    out.member("Limit", limit);
    return ask_page("Query", finish(out, how, start), until);
}

task<result<table::page>> table::scan(const expressions& how, const item& start, deadline until) {
    json::writer out;
    out.begin_object();
    out.member("TableName", name_);
    out.member("ConsistentRead", true);
    return ask_page("Scan", finish(out, how, start), until);
}

task<result<>> table::remove_all(std::vector<item> keys, deadline until) {
    for (std::size_t at = 0; at < keys.size(); at += batch_items_max) {
        const auto end = std::min(at + batch_items_max, keys.size());
        std::vector<item> batch(keys.begin() + static_cast<std::ptrdiff_t>(at),
                                keys.begin() + static_cast<std::ptrdiff_t>(end));
        if (auto removed = co_await remove_batch(std::move(batch), until); !removed) {
            co_return removed;
        }
    }
    co_return result<>{};
}

task<result<>> table::remove_batch(std::vector<item> keys, deadline until) {
    for (int round = 1;; ++round) {
        json::writer requests;
        requests.begin_array();
        for (const auto& each : keys) {
            requests.begin_object();
            requests.begin_object("DeleteRequest");
            requests.key("Key");
            write_item(requests, each);
            requests.end_object();
            requests.end_object();
        }
        requests.end_array();
        auto answer =
            co_await parsed(ask("BatchWriteItem", batch_body(name_, requests.view()), until));
        if (!answer) {
            co_return propagate(answer);
        }
        keys.clear();
        simdjson::dom::array left;
        if (answer->root()["UnprocessedItems"][name_].get(left) == simdjson::SUCCESS) {
            for (const auto each : left) {
                simdjson::dom::object key;
                if (each["DeleteRequest"]["Key"].get(key) == simdjson::SUCCESS) {
                    keys.push_back(read_item(key));
                }
            }
        }
        if (keys.empty()) {
            co_return result<>{};
        }
        if (auto paused = co_await pause_for_unprocessed(keys.size(), round, until); !paused) {
            co_return paused;
        }
    }
}

task<result<>> table::pause_for_unprocessed(std::size_t count, int round, deadline until) {
    const auto next = after(pause_before(round, false, unprocessed_pauses, random_u64()));
    if (next >= until) {
        co_return fail(errc::limit_exceeded,
                       concat("DynamoDB left ", count, " items of ", name_,
                              " unprocessed; does the table have too little capacity?"));
    }
    co_return co_await sleep_until(next);
}

}  // namespace hearth::aws
