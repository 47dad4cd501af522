#include "aws/auto_scaling.h"

#include <charconv>

#include "aws/query_form.h"
#include "aws/text.h"
#include "base/concat.h"

namespace hearth::aws {
namespace {

constexpr std::string_view terminating = "autoscaling:EC2_INSTANCE_TERMINATING";

seconds seconds_of(std::string_view text) {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return seconds(value);
}

}  // namespace

task<result<std::string>> auto_scaling::group_of(std::string instance_id, deadline until) {
    query_form form("DescribeAutoScalingInstances", api_version);
    form.add("InstanceIds.member.1", instance_id);
    auto answer = co_await api_.call(std::move(form).take(), until);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return xml_text(answer->body, "AutoScalingGroupName").value_or("");
}

task<result<std::vector<auto_scaling::lifecycle_hook>>> auto_scaling::termination_hooks(
    std::string instance_id, deadline until) {
    auto group = co_await group_of(std::move(instance_id), until);
    if (!group) {
        co_return propagate(group);
    }
    std::vector<lifecycle_hook> hooks;
    if (group->empty()) {
        co_return hooks;
    }
    query_form form("DescribeLifecycleHooks", api_version);
    form.add("AutoScalingGroupName", *group);
    auto answer = co_await api_.call(std::move(form).take(), until);
    if (!answer) {
        co_return propagate(answer);
    }
    for (const auto list : xml_elements(answer->body, "LifecycleHooks")) {
        for (const auto each : xml_elements(list, "member")) {
            auto name = xml_text(each, "LifecycleHookName");
            if (!name || xml_text(each, "LifecycleTransition") != terminating) {
                continue;
            }
            hooks.push_back(
                {.group = *group,
                 .name = std::move(*name),
                 .heartbeat_timeout = seconds_of(xml_text(each, "HeartbeatTimeout").value_or(""))});
        }
    }
    co_return hooks;
}

task<result<>> auto_scaling::act(std::string action, lifecycle_hook at, std::string instance_id,
                                 deadline until) {
    query_form form(action, api_version);
    form.add("AutoScalingGroupName", at.group)
        .add("LifecycleHookName", at.name)
        .add("InstanceId", instance_id);
    if (action == "CompleteLifecycleAction") {
        form.add("LifecycleActionResult", "CONTINUE");
    }
    auto answer = co_await api_.call(std::move(form).take(), until);
    if (!answer) {
        // The one thing in a well-formed request that it refuses: "No active Lifecycle Action
        // found with instance ID …".
        if (answer.error().message.contains("No active Lifecycle Action")) {
            answer.error().code = errc::not_found;
        }
        co_return propagate(answer);
    }
    co_return result<>{};
}

task<result<>> auto_scaling::record_heartbeat(lifecycle_hook at, std::string instance_id,
                                              deadline until) {
    return act("RecordLifecycleActionHeartbeat", std::move(at), std::move(instance_id), until);
}

task<result<>> auto_scaling::complete(lifecycle_hook at, std::string instance_id, deadline until) {
    return act("CompleteLifecycleAction", std::move(at), std::move(instance_id), until);
}

}  // namespace hearth::aws
