#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "aws/cloudwatch.h"

namespace hearth::aws {

struct backlog_publisher_options {
    std::string queue_url;  // its last part becomes the dimension QueueName
    // CloudWatch keeps what is published in minutes (standard resolution), and target tracking
    // looks at minutes.
    milliseconds interval{60'000};
};

// Tells CloudWatch, once a minute, how many jobs there are for each worker: what an Auto Scaling
// group's target tracking steers by. Several controllers publish the same number, so that its
// average over a minute is right. A minute that cannot be measured or published is left out: no
// number is better than a made-up one, which would start or end hosts. Ring thread only.
class backlog_publisher {
public:
    static constexpr std::string_view metric_namespace = "Hearth";
    static constexpr std::string_view metric_name = "BacklogPerInstance";

    struct statistics {
        std::uint64_t published = 0;
        std::uint64_t failed = 0;
    };
    // The backlog for each worker that takes jobs, at this moment.
    using measure_function = std::function<task<result<double>>(deadline until)>;

    // `api` is for CloudWatch and outlives this.
    backlog_publisher(client& api, backlog_publisher_options options, measure_function measure);

    // The first number at once, until stopped.
    task<void> run();

    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }

private:
    task<result<>> publish(deadline until);
    void note(const result<>& published);

    cloudwatch api_;
    const client& clock_;
    backlog_publisher_options options_;
    measure_function measure_;
    bool failing_ = false;
    statistics counts_;
};

}  // namespace hearth::aws
