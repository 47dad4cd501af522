#pragma once

#include <string>
#include <string_view>

#include "aws/client.h"

namespace hearth::aws {

// Secrets Manager, in AWS JSON 1.1. Ring thread only.
class secrets_manager {
public:
    // `api` is for Secrets Manager and outlives this.
    explicit secrets_manager(client& api) : api_(api) {}

    // The current text of a secret; `id` is its name or ARN. errc::not_found;
    // errc::permission_denied says which right is missing; errc::invalid_argument for a secret in
    // bytes. No message has the value.
    task<result<std::string>> get_secret(std::string id, deadline until);

private:
    client& api_;
};

// The member of a secret that is a JSON object: the text of a string, a number or boolean as it is
// written. errc::invalid_argument when there is no such member, or it is none of these; no message
// has anything of the secret but the member's name.
[[nodiscard]] result<std::string> secret_member(std::string_view secret, std::string_view member);

}  // namespace hearth::aws
