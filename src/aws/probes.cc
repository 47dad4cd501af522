#include "aws/probes.h"

#include "aws/auto_scaling.h"
#include "aws/backlog_publisher.h"
#include "aws/cloudwatch.h"
#include "aws/probe_support.h"
#include "aws/query_form.h"
#include "aws/references.h"
#include "aws/text.h"
#include "base/concat.h"

namespace hearth::aws {

task<result<std::string>> ask(client& api, std::string operation, std::string body,
                              deadline until) {
    auto asked = api.json_request(std::move(operation), std::move(body));
    auto answer = co_await api.call(std::move(asked), until);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return std::move(answer->body);
}

error with_remedy(error problem, std::string_view right, std::string_view target) {
    if (problem.code == errc::permission_denied) {
        problem.message += concat("; allow ", right, " on ", target, " (docs/fleet.md, Rights)");
    } else if (problem.code == errc::unavailable || problem.code == errc::deadline_exceeded) {
        problem.message += "; is the name right, AWS_REGION too, and can this host reach AWS?";
    }
    return problem;
}

probe right_probe(std::string_view service, std::string target, std::string_view right,
                  const result<>& outcome) {
    probe line{std::string(service), std::move(target), std::string(right), "granted"};
    if (outcome) {
        return line;
    }
    switch (outcome.error().code) {
        case errc::conflict:
        case errc::not_found:
        case errc::invalid_argument:
        case errc::rejected:
        case errc::corrupt:
            return line;  // refused for what was asked, not for who asked
        default:
            line.seen = std::unexpected(with_remedy(outcome.error(), right, line.target));
            return line;
    }
}

probe untried_probe(std::string_view service, std::string target, std::string_view right) {
    return {std::string(service), std::move(target), std::string(right),
            "not tried: every request that needs it may change something"};
}

task<probe> probe_identity(client& sts, deadline until) {
    probe line{"STS", "this program", "sts:GetCallerIdentity", {}};
    auto answer = co_await sts.call(query_form("GetCallerIdentity", "2011-06-15").take(), until);
    if (!answer) {
        line.seen = std::unexpected(std::move(answer.error()));
        co_return line;
    }
    line.seen = xml_text(answer->body, "Arn").value_or("AWS did not say who");
    co_return line;
}

task<std::vector<probe>> probe_references(std::vector<secret_reference> wanted, client& ssm,
                                          client& secrets, deadline until) {
    const auto values = co_await fetch_references(wanted, ssm, secrets, until);
    std::vector<probe> lines;
    for (const auto& each : wanted) {
        const bool is_ssm = each.service == secret_service::ssm;
        const auto value = values.find(each);
        probe line{is_ssm ? "SSM" : "Secrets Manager",
                   each.member.empty() ? each.name : concat(each.name, '#', each.member),
                   is_ssm ? "ssm:GetParameter" : "secretsmanager:GetSecretValue",
                   concat("read, for ", each.setting)};
        if (!value) {
            line.seen = std::unexpected(value.error());
        }
        lines.push_back(std::move(line));
    }
    co_return lines;
}

task<std::vector<probe>> probe_lifecycle(client& api, std::string instance_id, deadline until) {
    constexpr std::string_view service = "Auto Scaling";
    auto_scaling group(api);
    std::vector<probe> lines;
    auto hooks = co_await group.termination_hooks(instance_id, until);
    std::string seen =
        "no group waits for this host's drain; a lifecycle hook for termination "
        "would make it";
    if (hooks && !hooks->empty()) {
        seen = concat(hooks->size(), " hook(s) of ", hooks->front().group);
    }
    for (const std::string_view operation :
         {"DescribeAutoScalingInstances", "DescribeLifecycleHooks"}) {
        probe line{std::string(service), instance_id, concat("autoscaling:", operation), seen};
        // The second is asked only where the first was answered.
        const bool failed = !hooks && hooks.error().message.contains(operation);
        if (failed) {
            line.seen = std::unexpected(with_remedy(hooks.error(), line.tried, "*"));
        } else if (!hooks) {
            line.seen = "granted";
        }
        lines.push_back(std::move(line));
        if (failed) {
            co_return lines;
        }
    }
    if (!hooks) {
        lines.back().seen = std::unexpected(hooks.error());
        co_return lines;
    }
    for (const auto& each : *hooks) {
        const auto taken = co_await group.record_heartbeat(each, instance_id, until);
        lines.push_back(
            right_probe(service, each.name, "autoscaling:RecordLifecycleActionHeartbeat", taken));
        lines.push_back(untried_probe(service, each.name, "autoscaling:CompleteLifecycleAction"));
    }
    co_return lines;
}

task<probe> probe_backlog_metric(client& api, deadline until) {
    cloudwatch metrics(api);
    cloudwatch::datum ancient;  // older than the two weeks that CloudWatch takes
    ancient.name = backlog_publisher::metric_name;
    const auto put = co_await metrics.put(std::string(backlog_publisher::metric_namespace),
                                          std::move(ancient), until);
    co_return right_probe(
        "CloudWatch",
        concat(backlog_publisher::metric_namespace, '/', backlog_publisher::metric_name),
        "cloudwatch:PutMetricData", put);
}

}  // namespace hearth::aws
