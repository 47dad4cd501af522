#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "aws/client.h"
#include "base/concat.h"
#include "tests/unit/aws/scripted_service.h"

namespace hearth::test {

// Settings that send every service to one place.
[[nodiscard]] inline aws::settings settings_for(const std::string& url) {
    return aws::settings::read([&](std::string_view name) -> std::optional<std::string> {
               if (name == "AWS_REGION") {
                   return "eu-west-1";
               }
               return name == "AWS_ENDPOINT_URL" ? std::optional(url) : std::nullopt;
           })
        .value();
}

// Retries without pauses that a test would feel.
[[nodiscard]] inline aws::client_options impatient() {
    return {.pauses = {.base = milliseconds(1), .throttled_base = milliseconds(1)}};
}

// The value of a field of a form; the scripted answers need no decoding of names.
[[nodiscard]] inline std::string form_value(std::string_view form, std::string_view name) {
    while (!form.empty()) {
        const auto end = std::min(form.find('&'), form.size());
        const auto pair = form.substr(0, end);
        if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
            return std::string(pair.substr(name.size() + 1));
        }
        form.remove_prefix(std::min(end + 1, form.size()));
    }
    return {};
}

// {"__type": code, "message": …}
[[nodiscard]] inline http::response json_refusal(int status, std::string_view code,
                                                 std::string_view message = "told so") {
    return http::response::json(
        status, concat(R"({"__type":"com.amazonaws#)", code, R"(","message":")", message, R"("})"));
}

// <ErrorResponse><Error><Code>…
[[nodiscard]] inline http::response xml_refusal(int status, std::string_view code,
                                                std::string_view message = "told so") {
    return http::response::text(
        status, concat("<ErrorResponse><Error><Code>", code, "</Code><Message>", message,
                       "</Message></Error></ErrorResponse>"));
}

}  // namespace hearth::test
