#pragma once

#include <string>
#include <string_view>

#include "aws/client.h"

namespace hearth::aws {

// The body of a call in AWS's query protocol, which STS, Auto Scaling and CloudWatch speak: a form
// with Action and Version first.
class query_form {
public:
    query_form(std::string_view action, std::string_view version);

    query_form& add(std::string_view name, std::string_view value);
    // As a call that is ready to be sent.
    [[nodiscard]] request take() &&;

private:
    std::string action_;
    std::string body_;
};

}  // namespace hearth::aws
