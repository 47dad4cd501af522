#include "aws/settings.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/concat.h"

namespace hearth::aws {
namespace {

struct service_names {
    service which;
    std::string_view signing;
    std::string_view id;  // in AWS_ENDPOINT_URL_<id>
};

constexpr std::array services{
    service_names{service::sqs, "sqs", "SQS"},
    service_names{service::s3, "s3", "S3"},
    service_names{service::dynamodb, "dynamodb", "DYNAMODB"},
    service_names{service::sts, "sts", "STS"},
    service_names{service::cloudwatch, "monitoring", "CLOUDWATCH"},
    service_names{service::logs, "logs", "CLOUDWATCH_LOGS"},
    service_names{service::ssm, "ssm", "SSM"},
    service_names{service::secrets_manager, "secretsmanager", "SECRETS_MANAGER"},
    service_names{service::auto_scaling, "autoscaling", "AUTO_SCALING"},
    service_names{service::ec2, "ec2", "EC2"},
};

// A region becomes a part of host names, so nothing else may be in it.
bool is_region(std::string_view text) {
    return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
           });
}

bool is_authority(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("-._:[]").contains(c);
    });
}

std::string_view suffix_of(std::string_view region) {
    return region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
}

}  // namespace

environment process_environment() {
    return [](std::string_view name) -> std::optional<std::string> {
        const char* value = std::getenv(std::string(name).c_str());
        return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
    };
}

std::optional<std::string> value_of(const environment& from, std::string_view name) {
    auto value = from(name);
    return value && !value->empty() ? value : std::nullopt;
}

bool flag_of(const environment& from, std::string_view name) {
    const auto value = value_of(from, name);
    return value && std::ranges::equal(*value, std::string_view("true"),
                                       [](char a, char b) { return (a | 0x20) == b; });
}

std::string_view signing_name(service which) noexcept {
    return std::ranges::find(services, which, &service_names::which)->signing;
}

result<endpoint> parse_endpoint(std::string_view url, std::string_view setting) {
    auto rest = url;
    const bool has_scheme = rest.starts_with("http://") || rest.starts_with("https://");
    if (has_scheme) {
        rest.remove_prefix(rest.find("//") + 2);
    }
    const auto slash = std::min(rest.find('/'), rest.size());
    auto path = rest.substr(slash);
    while (path.ends_with('/')) {
        path.remove_suffix(1);
    }
    if (!has_scheme || !is_authority(rest.substr(0, slash)) ||
        path.find_first_of("?#% \t\r\n") != std::string_view::npos) {
        return fail(errc::invalid_argument,
                    concat(setting, " is '", url,
                           "'; it must be http:// or https://, a host, and a port or path if need "
                           "be"));
    }
    endpoint out;
    out.authority = rest.substr(0, slash);
    out.path = path;
    out.base = concat(url.substr(0, url.find("//") + 2), out.authority, out.path);
    out.overridden = true;
    return out;
}

result<settings> settings::read(const environment& from) {
    settings out;
    std::string problems;
    const auto add_problem = [&problems](std::string_view text) {
        problems += problems.empty() ? "" : "; ";
        problems += text;
    };
    auto region = value_of(from, "AWS_REGION");
    if (!region) {
        region = value_of(from, "AWS_DEFAULT_REGION");
    }
    if (!region) {
        add_problem("AWS_REGION is not set; for example AWS_REGION=eu-central-1");
    } else if (!is_region(*region)) {
        add_problem(concat("AWS_REGION is '", *region, "', which no region is called"));
    } else {
        out.region_ = *region;
    }
    out.authorities_file_ = value_of(from, "AWS_CA_BUNDLE").value_or("");
    if (!flag_of(from, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) {
        for (const auto& each : services) {
            std::string name = concat("AWS_ENDPOINT_URL_", each.id);
            auto url = value_of(from, name);
            if (!url) {
                name = "AWS_ENDPOINT_URL";
                url = value_of(from, name);
            }
            if (!url) {
                continue;
            }
            auto parsed = parse_endpoint(*url, name);
            if (parsed) {
                out.overrides_.emplace(each.which, std::move(*parsed));
            } else if (!problems.contains(parsed.error().message)) {
                add_problem(parsed.error().message);
            }
        }
    }
    if (!problems.empty()) {
        return fail(errc::invalid_argument, problems);
    }
    return out;
}

endpoint settings::endpoint_of(service which) const {
    if (const auto found = overrides_.find(which); found != overrides_.end()) {
        return found->second;
    }
    endpoint out;
    out.authority = concat(signing_name(which), '.', region_, suffix_of(region_));
    out.base = concat("https://", out.authority);
    return out;
}

endpoint settings::bucket_endpoint(std::string_view bucket) const {
    endpoint out = endpoint_of(service::s3);
    if (out.overridden || bucket.contains('.')) {
        out.path += concat('/', bucket);
        out.base += concat('/', bucket);
    } else {
        out.authority = concat(bucket, '.', out.authority);
        out.base = concat("https://", out.authority);
    }
    return out;
}

}  // namespace hearth::aws
