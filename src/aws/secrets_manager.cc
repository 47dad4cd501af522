#include "aws/secrets_manager.h"

#include <optional>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::aws {

task<result<std::string>> secrets_manager::get_secret(std::string id, deadline until) {
    json::writer body;
    body.begin_object();
    body.member("SecretId", id);
    body.end_object();
    auto answer =
        co_await api_.call({.operation = "GetSecretValue",
                            .headers = {{"content-type", "application/x-amz-json-1.1"},
                                        {"x-amz-target", "secretsmanager.GetSecretValue"}},
                            .body = std::move(body).take()},
                           until);
    if (!answer) {
        error& problem = answer.error();
        if (problem.code == errc::permission_denied) {
            problem.message +=
                concat("; allow secretsmanager:GetSecretValue on the secret ", id,
                       ", and kms:Decrypt on its key if that is not AWS's own (docs/fleet.md)");
        } else if (problem.code == errc::not_found) {
            problem.message +=
                concat("; there is no secret ", id, " in ", api_.configuration().region());
        }
        co_return propagate(answer);
    }
    const auto parsed = json::document::parse(answer->body);
    std::string_view value;
    if (!parsed) {
        co_return fail(errc::protocol, "secretsmanager GetSecretValue: the answer is not JSON");
    }
    if (parsed->root()["SecretString"].get(value) != simdjson::SUCCESS) {
        co_return fail(errc::invalid_argument,
                       concat("the secret ", id, " is not text; store it as SecretString"));
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
