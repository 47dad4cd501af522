#pragma once

#include <string>
#include <vector>

#include "aws/client.h"

namespace hearth::aws {

// CloudWatch's metrics, in AWS's query protocol, which every stand-in has. Ring thread only.
class cloudwatch {
public:
    struct dimension {
        std::string name;
        std::string value;
    };
    struct datum {
        std::string name;
        double value = 0;  // finite
        std::vector<dimension> dimensions;
        std::string unit = "Count";
        epoch_ms at = 0;
    };

    // `api` is for CloudWatch and outlives this.
    explicit cloudwatch(client& api) : api_(api) {}

    // errc::invalid_argument for a value that is no number, and what CloudWatch refuses.
    task<result<>> put(std::string name_space, datum what, deadline until);

private:
    client& api_;
};

}  // namespace hearth::aws
