#include "aws/systems_manager.h"

#include "base/concat.h"
#include "base/json.h"

namespace hearth::aws {

task<result<std::string>> systems_manager::get_parameter(std::string name, deadline until) {
    json::writer body;
    body.begin_object();
    body.member("Name", name);
    body.member("WithDecryption", true);
    body.end_object();
    auto answer = co_await api_.call({.operation = "GetParameter",
                                      .headers = {{"content-type", "application/x-amz-json-1.1"},
                                                  {"x-amz-target", "AmazonSSM.GetParameter"}},
                                      .body = std::move(body).take()},
                                     until);
    if (!answer) {
        error& problem = answer.error();
        if (problem.code == errc::permission_denied) {
            problem.message +=
                concat("; allow ssm:GetParameter on the parameter ", name,
                       ", and kms:Decrypt on its key if that is not AWS's own (docs/fleet.md)");
        } else if (problem.code == errc::not_found) {
            problem.message +=
                concat("; there is no parameter ", name, " in ", api_.configuration().region());
        }
        co_return propagate(answer);
    }
    const auto parsed = json::document::parse(answer->body);
    std::string_view value;
    if (!parsed || parsed->root()["Parameter"]["Value"].get(value) != simdjson::SUCCESS) {
        co_return fail(errc::protocol, "ssm GetParameter: the answer has no value");
    }
    co_return std::string(value);
}

}  // namespace hearth::aws
