#include "aws/secrets.h"

#include <optional>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::aws {
namespace {

// `what`: "secret NAME".
task<result<json::document>> ask(client& api, std::string operation, std::string body,
                                 std::string what, deadline until) {
    const auto service = signing_name(api.which());
    auto answer = co_await api.call(api.json_request(operation, std::move(body)), until);
    if (!answer) {
        error& problem = answer.error();
        if (problem.code == errc::permission_denied) {
            problem.message +=
                concat("; allow ", service, ":", operation, " on the ", what,
                       ", and kms:Decrypt on its key if that is not AWS's own (docs/fleet.md)");
        } else if (problem.code == errc::not_found) {
            problem.message += concat("; there is no ", what, " in ", api.configuration().region());
        }
        co_return propagate(answer);
    }
    auto parsed = json::document::parse(answer->body);
    if (!parsed) {
        co_return fail(errc::protocol, concat(service, " ", operation, ": the answer is not JSON"));
    }
    co_return parsed;
}

}  // namespace

task<result<std::string>> get_secret(client& api, std::string id, deadline until) {
    json::writer body;
    body.begin_object();
    body.member("SecretId", id);
    body.end_object();
    auto answer =
        co_await ask(api, "GetSecretValue", std::move(body).take(), concat("secret ", id), until);
    if (!answer) {
        co_return propagate(answer);
    }
    std::string_view value;
    if (answer->root()["SecretString"].get(value) != simdjson::SUCCESS) {
        co_return fail(errc::invalid_argument,
                       concat("the secret ", id, " is not text; store it as SecretString"));
    }
    co_return std::string(value);
}

task<result<std::string>> get_parameter(client& api, std::string name, deadline until) {
    json::writer body;
    body.begin_object();
    body.member("Name", name);
    body.member("WithDecryption", true);
    body.end_object();
    auto answer = co_await ask(api, "GetParameter", std::move(body).take(),
                               concat("parameter ", name), until);
    if (!answer) {
        co_return propagate(answer);
    }
    std::string_view value;
    if (answer->root()["Parameter"]["Value"].get(value) != simdjson::SUCCESS) {
        co_return fail(errc::protocol, "ssm GetParameter: the answer has no value");
    }
    co_return std::string(value);
}

result<std::string> secret_member(std::string_view secret, std::string_view member) {
    std::optional<std::string> found;
    // What the scanner says of bad JSON may quote it, so its message is not used.
    const auto scanned =
        json::scan_object(secret, [&](std::string_view name, std::string_view raw) {
            if (name == member) {
                found = raw;
            }
        });
    if (!scanned) {
        return fail(errc::invalid_argument,
                    concat("the secret is not a JSON object of at most ", json::members_max,
                           " members, so it has no member ", member));
    }
    if (!found) {
        return fail(errc::invalid_argument, concat("the secret has no member ", member));
    }
    if (found->starts_with('"')) {
        return json::unescape_string(*found);
    }
    if (found->starts_with('{') || found->starts_with('[') || *found == "null") {
        return fail(errc::invalid_argument, concat("the secret's member ", member,
                                                   " is neither text nor number nor boolean"));
    }
    return std::move(*found);
}

}  // namespace hearth::aws
