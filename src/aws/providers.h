#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/client.h"
#include "aws/credentials.h"
#include "aws/profile.h"
#include "aws/settings.h"
#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "http/client.h"

// The places that credentials come from. Each fetch() asks anew; caching is credential_chain's.

namespace hearth::aws {

struct issued_credentials {
    credentials keys;
    std::optional<epoch_ms> expires;  // never, without
};

class credential_provider {
public:
    virtual ~credential_provider() = default;
    // For logs and errors: "environment", "IMDS", ….
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    // errc::not_found when there is nothing here, so that the next place is asked; any other error
    // ends the search: what is configured and does not work must not be passed over.
    virtual task<result<issued_credentials>> fetch(deadline until) = 0;
    // After this one, credentials that have expired may be used while it cannot be reached: EC2's
    // metadata promises that they still work (static stability).
    [[nodiscard]] virtual bool outlives_expiry() const noexcept { return false; }
};

// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
[[nodiscard]] std::unique_ptr<credential_provider> environment_provider(environment from);

// What the other providers need. All outlive them.
struct provider_parts {
    environment from;
    http::client& transport;
    thread_pool& blocking;  // for credential_process
    const settings& config;
};

// The profile AWS_PROFILE, or "default": keys of its own, credential_process, or role_arn with
// source_profile, credential_source (Environment, EcsContainer, Ec2InstanceMetadata) or
// web_identity_token_file. A source profile may name another, up to 5.
[[nodiscard]] std::unique_ptr<credential_provider> profile_provider(provider_parts parts);

// AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN and AWS_ROLE_SESSION_NAME.
[[nodiscard]] std::unique_ptr<credential_provider> web_identity_provider(provider_parts parts);

// AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (at 169.254.170.2) or _FULL_URI (https, or loopback and
// the agents' addresses), with AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or _TOKEN.
[[nodiscard]] std::unique_ptr<credential_provider> container_provider(provider_parts parts);

// EC2's metadata service, version 2 only: a token first, then the role, then its keys.
// AWS_EC2_METADATA_SERVICE_ENDPOINT; nothing with AWS_EC2_METADATA_DISABLED=true.
[[nodiscard]] std::unique_ptr<credential_provider> imds_provider(const provider_parts& parts);

// --- what they are made of -------------------------------------------------------------------

// {"AccessKeyId", "SecretAccessKey", "Token" or "SessionToken", "Expiration"}: what containers,
// IMDS and processes answer. errc::protocol names `source`; the keys are never in the message.
[[nodiscard]] result<issued_credentials> parse_issued(std::string_view json,
                                                      std::string_view source);

struct role_request {
    std::string role_arn;
    std::string session_name;  // "hearth-<host's time>" when empty
    std::string external_id;
    std::string web_identity_token;  // then the call is not signed
    int duration_seconds = 3600;
};

// STS AssumeRole or AssumeRoleWithWebIdentity.
task<result<issued_credentials>> assume_role(const provider_parts& parts, credentials_source* keys,
                                             role_request wanted, deadline until);

}  // namespace hearth::aws
