#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aws/client.h"

namespace hearth::aws {

// EC2 Auto Scaling, in AWS's query protocol: what a host needs that its group wants to end. Ring
// thread only.
class auto_scaling {
public:
    static constexpr std::string_view api_version = "2011-01-01";

    // A hook at which the group waits before it ends an instance.
    struct lifecycle_hook {
        std::string group;
        std::string name;
        seconds heartbeat_timeout{0};  // without a heartbeat for so long the group goes on
    };

    // `api` is for Auto Scaling and outlives this.
    explicit auto_scaling(client& api) : api_(api) {}

    // The hooks of the instance's group for the end of instances; none where it is in no group.
    task<result<std::vector<lifecycle_hook>>> termination_hooks(std::string instance_id,
                                                                deadline until);
    // The group waits for another heartbeat timeout. errc::not_found: it does not wait at this hook
    // for this instance, or no longer.
    task<result<>> record_heartbeat(lifecycle_hook at, std::string instance_id, deadline until);
    // The group goes on ending the instance. errc::not_found as above.
    task<result<>> complete(lifecycle_hook at, std::string instance_id, deadline until);

private:
    task<result<std::string>> group_of(std::string instance_id, deadline until);
    task<result<>> act(std::string action, lifecycle_hook at, std::string instance_id,
                       deadline until);

    client& api_;
};

}  // namespace hearth::aws
