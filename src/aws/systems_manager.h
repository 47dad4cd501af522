#pragma once

#include <string>

#include "aws/client.h"

namespace hearth::aws {

// Systems Manager's Parameter Store, in AWS JSON 1.1. Ring thread only.
class systems_manager {
public:
    // `api` is for SSM and outlives this.
    explicit systems_manager(client& api) : api_(api) {}

    // The value of a parameter, decrypted. `name` may be an ARN and may end in ":VERSION" or
    // ":LABEL". errc::not_found; errc::permission_denied says which right is missing. No message
    // has the value.
    task<result<std::string>> get_parameter(std::string name, deadline until);

private:
    client& api_;
};

}  // namespace hearth::aws
