#pragma once

#include <string>
#include <string_view>

#include "aws/client.h"

// What people keep in AWS for programs to read: Secrets Manager's secrets, and the parameters of
// Systems Manager. Ring thread only. No message has a value.

namespace hearth::aws {

// The current text of a secret; `id` is its name or ARN. `api` is for Secrets Manager and outlives
// the task. errc::not_found; errc::permission_denied says which right is missing;
// errc::invalid_argument for a secret in bytes.
task<result<std::string>> get_secret(client& api, std::string id, deadline until);

// The value of a parameter, decrypted. `name` may be an ARN and may end in ":VERSION" or ":LABEL".
// `api` is for SSM and outlives the task. errc::not_found; errc::permission_denied says which right
// is missing.
task<result<std::string>> get_parameter(client& api, std::string name, deadline until);

// The member of a secret that is a JSON object: the text of a string, a number or boolean as it is
// written. errc::invalid_argument when there is no such member, or it is none of these; no message
// has anything of the secret but the member's name.
[[nodiscard]] result<std::string> secret_member(std::string_view secret, std::string_view member);

}  // namespace hearth::aws
