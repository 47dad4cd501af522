#include "aws/metadata.h"

#include <algorithm>

#include "base/concat.h"

namespace hearth::aws {
namespace {

constexpr milliseconds attempt_timeout{1'000};  // as AWS's SDKs have it: it is next door or nowhere
constexpr int attempts_max = 3;                 // once it has answered
constexpr std::size_t answer_bytes_max = 64u << 10;

}  // namespace

metadata::metadata(http::client& transport, const environment& from)
    : transport_(transport),
      base_(value_of(from, "AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or("http://169.254.169.254")),
      disabled_(flag_of(from, "AWS_EC2_METADATA_DISABLED")) {
    while (base_.ends_with('/')) {
        base_.pop_back();
    }
}

task<result<http::client_response>> metadata::ask(std::string method, std::string path,
                                                  std::string_view token, deadline until) {
    http::client_request wire;
    wire.method = std::move(method);
    wire.url = base_ + path;
    wire.answer_bytes_max = answer_bytes_max;
    if (wire.method == "PUT") {
        wire.headers.emplace_back("x-aws-ec2-metadata-token-ttl-seconds",
                                  concat(token_lifetime.count()));
    } else {
        wire.headers.emplace_back("x-aws-ec2-metadata-token", token);
    }
    result<http::client_response> answer;
    for (int attempt = 1; attempt <= (seen_ ? attempts_max : 1); ++attempt) {
        answer = co_await transport_.send(wire, std::min(until, after(attempt_timeout)));
        if (answer && answer->status < 500) {
            seen_ = true;
            co_return answer;
        }
        if (!answer && answer.error().code == errc::cancelled) {
            co_return answer;
        }
    }
    if (answer) {
        co_return fail(errc::unavailable,
                       concat("EC2's metadata service answers ", answer->status));
    }
    co_return fail(seen_ ? errc::unavailable : errc::not_found,
                   concat("EC2's metadata service does not answer: ", answer.error().message));
}

task<result<>> metadata::fetch_token(deadline until) {
    auto answer = co_await ask("PUT", "/latest/api/token", {}, until);
    if (!answer) {
        co_return propagate(answer);
    }
    if (answer->status == 403) {
        co_return fail(errc::permission_denied,
                       "EC2's metadata service is switched off for this instance; switch it on "
                       "(HttpEndpoint enabled) or set AWS_EC2_METADATA_DISABLED=true");
    }
    if (answer->status != 200 || answer->body.empty()) {
        // 404 and 405: something that speaks version 1 alone. Its answers can be forged.
        co_return fail(errc::not_found, concat("EC2's metadata service gives no token (status ",
                                               answer->status, ")"));
    }
    token_ = std::move(answer->body);
    // Renewed while it is still good.
    token_until_ = after(token_lifetime - token_lifetime / 10);
    co_return result<>{};
}

task<result<std::string>> metadata::get(std::string path, deadline until) {
    if (disabled_) {
        co_return fail(errc::not_found, "AWS_EC2_METADATA_DISABLED is true");
    }
    for (int attempt = 1;; ++attempt) {
        if (token_.empty() || steady_clock::now() >= token_until_) {
            if (auto fetched = co_await fetch_token(until); !fetched) {
                co_return propagate(fetched);
            }
        }
        auto answer = co_await ask("GET", path, token_, until);
        if (!answer) {
            co_return propagate(answer);
        }
        if (answer->status == 200) {
            co_return std::move(answer->body);
        }
        if (answer->status == 401 && attempt == 1) {
            token_.clear();  // it has expired there
            continue;
        }
        co_return fail(answer->status == 404 ? errc::not_found : errc::permission_denied,
                       concat("EC2's metadata service answers ", answer->status, " for ", path));
    }
}

}  // namespace hearth::aws
