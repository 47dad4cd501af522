// What places that issue credentials say: JSON from endpoints and processes, XML from STS.

#include "aws/providers.h"
#include "aws/query_form.h"
#include "aws/text.h"
#include "base/concat.h"
#include "base/json.h"

namespace hearth::aws {
namespace {

result<issued_credentials> parse_sts(std::string_view xml) {
    const auto found = xml_elements(xml, "Credentials");
    if (found.empty()) {
        return fail(errc::protocol, "STS answered without credentials");
    }
    const auto expiration = xml_text(found.front(), "Expiration");
    issued_credentials out;
    out.keys = {xml_text(found.front(), "AccessKeyId").value_or(""),
                xml_text(found.front(), "SecretAccessKey").value_or(""),
                xml_text(found.front(), "SessionToken").value_or("")};
    out.expires = parse_rfc3339(expiration.value_or(""));
    if (out.keys.access_key_id.empty() || out.keys.secret_access_key.empty() || !out.expires) {
        return fail(errc::protocol, "STS answered with incomplete credentials");
    }
    return out;
}

}  // namespace

result<issued_credentials> parse_issued(std::string_view json, std::string_view source) {
    const auto parsed = json::document::parse(json);
    if (!parsed) {
        return fail(errc::protocol, concat(source, " answers with what is not JSON"));
    }
    const auto text = [&](std::initializer_list<std::string_view> names) {
        std::string_view value;
        for (const auto name : names) {
            if (parsed->root()[name].get(value) == simdjson::SUCCESS) {
                return std::string(value);
            }
        }
        return std::string();
    };
    if (const auto code = text({"Code"}); !code.empty() && code != "Success") {
        return fail(errc::permission_denied,
                    concat(source, " says ", code, ": ", text({"Message"})));
    }
    issued_credentials out;
    out.keys = {text({"AccessKeyId"}), text({"SecretAccessKey"}), text({"Token", "SessionToken"})};
    if (out.keys.access_key_id.empty() || out.keys.secret_access_key.empty()) {
        return fail(errc::protocol, concat(source,
                                           " answers without AccessKeyId and "
                                           "SecretAccessKey"));
    }
    if (const auto expiration = text({"Expiration"}); !expiration.empty()) {
        out.expires = parse_rfc3339(expiration);
        if (!out.expires) {
            return fail(errc::protocol, concat(source, " gives Expiration as '", expiration,
                                               "', which is no time"));
        }
    }
    return out;
}

task<result<issued_credentials>> assume_role(const provider_parts& parts, credentials_source* keys,
                                             role_request wanted, deadline until) {
    const bool is_web = !wanted.web_identity_token.empty();
    if (wanted.session_name.empty()) {
        wanted.session_name = concat("hearth-", wall_clock_ms());
    }
    query_form form(is_web ? "AssumeRoleWithWebIdentity" : "AssumeRole", "2011-06-15");
    form.add("RoleArn", wanted.role_arn)
        .add("RoleSessionName", wanted.session_name)
        .add("DurationSeconds", concat(wanted.duration_seconds));
    if (is_web) {
        form.add("WebIdentityToken", wanted.web_identity_token);
    } else if (!wanted.external_id.empty()) {
        form.add("ExternalId", wanted.external_id);
    }
    request asked = std::move(form).take();
    asked.sign = !is_web;
    client sts(parts.transport, keys, parts.config, service::sts);
    auto answer = co_await sts.call(std::move(asked), until);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return parse_sts(answer->body);
}

}  // namespace hearth::aws
