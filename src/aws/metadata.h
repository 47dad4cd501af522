#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/settings.h"
#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "http/client.h"

namespace hearth::aws {

// EC2's instance metadata, version 2 (docs.aws.amazon.com/AWSEC2/latest/UserGuide/
// configuring-instance-metadata-service.html): a token is fetched by PUT, which a forged GET from a
// sandbox cannot do, and sent with every question. There is no falling back to version 1. Ring
// thread only.
class metadata {
public:
    static constexpr seconds token_lifetime{21'600};

    // AWS_EC2_METADATA_SERVICE_ENDPOINT, else 169.254.169.254. `transport` outlives it.
    metadata(http::client& transport, const environment& from);

    // AWS_EC2_METADATA_DISABLED=true: every get() is errc::not_found.
    [[nodiscard]] bool disabled() const noexcept { return disabled_; }

    // "/latest/meta-data/placement/region" and the like. errc::not_found: there is no such thing
    // (404), or this is no EC2 instance (nobody answers within a second at first);
    // errc::permission_denied: metadata is switched off (403); errc::unavailable: it answered
    // before and does not now.
    task<result<std::string>> get(std::string path, deadline until);

private:
    task<result<http::client_response>> ask(std::string method, std::string path,
                                            std::string_view token, deadline until);
    task<result<>> fetch_token(deadline until);

    http::client& transport_;
    std::string base_;
    bool disabled_;
    bool seen_ = false;  // it has answered
    std::string token_;
    steady_time token_until_{};
};

}  // namespace hearth::aws
