#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::aws {

// Looks a setting up by its name, as getenv() does; nullopt when it is not set. Where settings come
// from is decided by the program (environment, .env file), never in here.
using environment = std::function<std::optional<std::string>(std::string_view name)>;

// The process's environment, as it is at each call.
[[nodiscard]] environment process_environment();

// The value, or nothing where it is unset or empty: AWS's tools take both for the same.
[[nodiscard]] std::optional<std::string> value_of(const environment& from, std::string_view name);

// "true" in any case; everything else is not.
[[nodiscard]] bool flag_of(const environment& from, std::string_view name);

enum class service : std::uint8_t {
    sqs,
    s3,
    dynamodb,
    sts,
    cloudwatch,
    logs,
    ssm,
    secrets_manager,
    auto_scaling,
    ec2,
};

// The name that requests are signed for and that hosts begin with: "sqs", "monitoring", ….
[[nodiscard]] std::string_view signing_name(service which) noexcept;

// Where a service is. `base` is "https://host[:port][/path]" without a slash at its end.
struct endpoint {
    std::string base;
    std::string authority;    // host[:port]: what Host says
    std::string path;         // in front of every request's path; mostly empty
    bool overridden = false;  // given by a setting: S3 buckets are a part of the path there
};

// "http://127.0.0.1:5001/aws/" and the like; errc::invalid_argument names `setting`.
[[nodiscard]] result<endpoint> parse_endpoint(std::string_view url, std::string_view setting);

// What all calls of AWS's services share. Values; any thread.
class settings {
public:
    // Region: AWS_REGION or AWS_DEFAULT_REGION. Endpoints: AWS_ENDPOINT_URL_<SERVICE> (service ids
    // as in AWS's SDKs: SQS, S3, DYNAMODB, STS, CLOUDWATCH, CLOUDWATCH_LOGS, SSM, SECRETS_MANAGER,
    // AUTO_SCALING, EC2) before AWS_ENDPOINT_URL, neither when AWS_IGNORE_CONFIGURED_ENDPOINT_URLS
    // is true. Authorities: AWS_CA_BUNDLE, a PEM file. errc::invalid_argument lists every problem.
    [[nodiscard]] static result<settings> read(const environment& from);

    [[nodiscard]] const std::string& region() const noexcept { return region_; }
    // Empty: the system's.
    [[nodiscard]] const std::string& authorities_file() const noexcept { return authorities_file_; }
    // The configured one, or AWS's own in the region.
    [[nodiscard]] endpoint endpoint_of(service which) const;
    // S3 with the bucket in the host (virtual-host style), or in the path where S3's endpoint is
    // overridden or the bucket's name has a dot, which no certificate covers.
    [[nodiscard]] endpoint bucket_endpoint(std::string_view bucket) const;

private:
    std::string region_;
    std::string authorities_file_;
    std::map<service, endpoint> overrides_;
};

}  // namespace hearth::aws
