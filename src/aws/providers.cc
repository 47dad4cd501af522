#include "aws/providers.h"

#include <algorithm>
#include <array>

#include "aws/metadata.h"
#include "aws/subprocess.h"
#include "aws/text.h"
#include "base/concat.h"
#include "base/json.h"

namespace hearth::aws {
namespace {

class environment_keys final : public credential_provider {
public:
    explicit environment_keys(environment from) : from_(std::move(from)) {}
    [[nodiscard]] std::string_view name() const noexcept override { return "environment"; }
    task<result<issued_credentials>> fetch(deadline) override {
        const auto id = value_of(from_, "AWS_ACCESS_KEY_ID");
        const auto secret = value_of(from_, "AWS_SECRET_ACCESS_KEY");
        if (!id && !secret) {
            co_return fail(errc::not_found, "AWS_ACCESS_KEY_ID is not set");
        }
        if (!id || !secret) {
            co_return fail(errc::permission_denied,
                           "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together");
        }
        co_return issued_credentials{
            {*id, *secret, value_of(from_, "AWS_SESSION_TOKEN").value_or("")}, std::nullopt};
    }

private:
    environment from_;
};

class web_identity final : public credential_provider {
public:
    explicit web_identity(provider_parts parts) : parts_(std::move(parts)) {}
    [[nodiscard]] std::string_view name() const noexcept override { return "web identity"; }
    task<result<issued_credentials>> fetch(deadline until) override {
        const auto file = value_of(parts_.from, "AWS_WEB_IDENTITY_TOKEN_FILE");
        if (!file) {
            co_return fail(errc::not_found, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
        }
        role_request wanted;
        wanted.role_arn = value_of(parts_.from, "AWS_ROLE_ARN").value_or("");
        if (wanted.role_arn.empty()) {
            co_return fail(errc::permission_denied,
                           "AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN");
        }
        wanted.session_name = value_of(parts_.from, "AWS_ROLE_SESSION_NAME").value_or("");
        auto token = read_small_file(*file);  // anew each time: the file is rotated
        if (!token) {
            co_return propagate(token);
        }
        wanted.web_identity_token = std::move(*token);
        co_return co_await assume_role(parts_, nullptr, std::move(wanted), until);
    }

private:
    provider_parts parts_;
};

class container_keys final : public credential_provider {
public:
    explicit container_keys(provider_parts parts) : parts_(std::move(parts)) {}
    [[nodiscard]] std::string_view name() const noexcept override { return "container"; }
    task<result<issued_credentials>> fetch(deadline until) override {
        auto url = find_url();
        if (!url) {
            co_return propagate(url);
        }
        http::client_request wire{.url = std::move(*url),
                                  .headers = {{"accept", "application/json"}}};
        auto token = find_token();
        if (!token) {
            co_return propagate(token);
        }
        if (!token->empty()) {
            wire.headers.emplace_back("authorization", std::move(*token));
        }
        result<http::client_response> answer;
        for (int attempt = 0; attempt < attempts_max; ++attempt) {
            answer = co_await parts_.transport.send(wire, std::min(until, after(attempt_timeout)));
            if (answer ? answer->status < 500 : answer.error().code == errc::cancelled) {
                break;
            }
        }
        if (!answer) {
            co_return propagate(answer);
        }
        if (answer->status != 200) {
            co_return fail(answer->status >= 500 ? errc::unavailable : errc::permission_denied,
                           concat("the container's credentials endpoint answers ", answer->status));
        }
        co_return parse_issued(answer->body, "the container's credentials endpoint");
    }

private:
    static constexpr int attempts_max = 3;
    static constexpr milliseconds attempt_timeout{2'000};

    [[nodiscard]] result<std::string> find_url() const;
    [[nodiscard]] result<std::string> find_token() const;

    provider_parts parts_;
};

result<std::string> container_keys::find_url() const {
    if (const auto relative = value_of(parts_.from, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")) {
        return concat("http://169.254.170.2", relative->starts_with('/') ? "" : "/", *relative);
    }
    const auto full = value_of(parts_.from, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (!full) {
        return fail(errc::not_found, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set");
    }
    // Without TLS the authorization token goes nowhere but to this host and the agents of ECS and
    // EKS.
    const auto scheme = full->find("//");
    const auto start = scheme == std::string::npos ? 0 : scheme + 2;
    auto host = std::string_view(*full).substr(start);
    host = host.substr(0, host.find('/'));
    const auto port = host.rfind(':');
    if (port != std::string_view::npos && host.find(']', port) == std::string_view::npos) {
        host = host.substr(0, port);
    }
    constexpr std::array<std::string_view, 5> agents{"localhost", "[::1]", "169.254.170.2",
                                                     "169.254.170.23", "[fd00:ec2::23]"};
    // Digits alone, or "127.0.0.1.example.com" would be a loopback address.
    const bool is_loopback =
        host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
    if (!full->starts_with("https://") && !is_loopback &&
        std::ranges::find(agents, host) == agents.end()) {
        return fail(errc::permission_denied, concat("AWS_CONTAINER_CREDENTIALS_FULL_URI is ", *full,
                                                    "; without https it may only be on this host"));
    }
    return *full;
}

result<std::string> container_keys::find_token() const {
    if (const auto file = value_of(parts_.from, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
        return read_small_file(*file);
    }
    return value_of(parts_.from, "AWS_CONTAINER_AUTHORIZATION_TOKEN").value_or("");
}

class imds_keys final : public credential_provider {
public:
    explicit imds_keys(const provider_parts& parts) : source_(parts.transport, parts.from) {}
    [[nodiscard]] std::string_view name() const noexcept override { return "EC2 metadata"; }
    [[nodiscard]] bool outlives_expiry() const noexcept override { return true; }
    task<result<issued_credentials>> fetch(deadline until) override {
        constexpr std::string_view folder = "/latest/meta-data/iam/security-credentials/";
        auto roles = co_await source_.get(std::string(folder), until);
        if (!roles) {
            co_return propagate(roles);
        }
        const auto role = roles->substr(0, roles->find_first_of("\r\n"));
        if (role.empty()) {
            co_return fail(errc::not_found, "this EC2 instance has no instance profile");
        }
        auto answer = co_await source_.get(concat(folder, role), until);
        if (!answer) {
            co_return propagate(answer);
        }
        co_return parse_issued(*answer, "EC2's metadata service");
    }

private:
    metadata source_;
};

// A chain of profiles ends somewhere, even when they name each other.
constexpr int profile_depth_max = 5;

class profile_keys final : public credential_provider {
public:
    explicit profile_keys(provider_parts parts) : parts_(std::move(parts)) {}
    [[nodiscard]] std::string_view name() const noexcept override { return "profile"; }
    task<result<issued_credentials>> fetch(deadline until) override {
        auto profiles = read_profiles(parts_.from);
        if (!profiles) {
            co_return propagate(profiles);
        }
        const auto chosen = value_of(parts_.from, "AWS_PROFILE");
        const std::string name = chosen.value_or("default");
        if (chosen && !profiles->contains(name)) {
            co_return fail(errc::permission_denied,
                           concat("AWS_PROFILE is '", name, "', which no file describes"));
        }
        co_return co_await resolve(*profiles, name, 1, until);
    }

private:
    static std::string get(const profile& from, std::string_view key) {
        const auto found = from.find(key);
        return found == from.end() ? std::string() : found->second;
    }
    task<result<issued_credentials>> resolve(const profile_set& all, std::string name, int depth,
                                             deadline until);
    task<result<issued_credentials>> role_of(const profile_set& all, std::string name,
                                             const profile& from, int depth, deadline until);
    task<result<issued_credentials>> source_of(const profile_set& all, std::string name,
                                               const profile& from, int depth, deadline until);
    static issued_credentials keys_in(const profile& from) {
        return {{get(from, "aws_access_key_id"), get(from, "aws_secret_access_key"),
                 get(from, "aws_session_token")},
                std::nullopt};
    }

    provider_parts parts_;
};

task<result<issued_credentials>> profile_keys::resolve(const profile_set& all, std::string name,
                                                       int depth, deadline until) {
    const auto found = all.find(name);
    if (found == all.end()) {
        co_return fail(depth == 1 ? errc::not_found : errc::permission_denied,
                       concat("there is no profile '", name, "'"));
    }
    if (depth > profile_depth_max) {
        co_return fail(errc::permission_denied,
                       concat("profile '", name, "' is more than ", profile_depth_max,
                              " source_profile steps away; do profiles name each other?"));
    }
    const profile& from = found->second;
    if (from.contains("role_arn")) {
        co_return co_await role_of(all, name, from, depth, until);
    }
    if (from.contains("aws_access_key_id") && from.contains("aws_secret_access_key")) {
        co_return keys_in(from);
    }
    if (const auto command = get(from, "credential_process"); !command.empty()) {
        auto output = co_await run_process(parts_.blocking, split_command(command), until);
        if (!output) {
            co_return fail(output.error().code, concat("credential_process of profile '", name,
                                                       "': ", output.error().message));
        }
        co_return parse_issued(*output, concat("credential_process of profile '", name, "'"));
    }
    co_return fail(depth == 1 ? errc::not_found : errc::permission_denied,
                   concat("profile '", name, "' has no credentials"));
}

task<result<issued_credentials>> profile_keys::role_of(const profile_set& all, std::string name,
                                                       const profile& from, int depth,
                                                       deadline until) {
    role_request wanted{.role_arn = get(from, "role_arn"),
                        .session_name = get(from, "role_session_name"),
                        .external_id = get(from, "external_id"),
                        .web_identity_token = {}};
    if (from.contains("mfa_serial")) {
        co_return fail(errc::permission_denied,
                       concat("profile '", name,
                              "' wants a second factor, which no one can type "
                              "here"));
    }
    if (const auto file = get(from, "web_identity_token_file"); !file.empty()) {
        auto token = read_small_file(file);
        if (!token) {
            co_return propagate(token);
        }
        wanted.web_identity_token = std::move(*token);
        co_return co_await assume_role(parts_, nullptr, std::move(wanted), until);
    }
    auto source = co_await source_of(all, name, from, depth, until);
    if (!source) {
        co_return source;
    }
    fixed_credentials keys(std::move(source->keys));
    co_return co_await assume_role(parts_, &keys, std::move(wanted), until);
}

task<result<issued_credentials>> profile_keys::source_of(const profile_set& all, std::string name,
                                                         const profile& from, int depth,
                                                         deadline until) {
    if (const auto other = get(from, "source_profile"); !other.empty()) {
        if (other == name && from.contains("aws_access_key_id")) {
            co_return keys_in(from);  // a profile may be its own source
        }
        co_return co_await resolve(all, other, depth + 1, until);
    }
    const auto where = get(from, "credential_source");
    std::unique_ptr<credential_provider> source;
    if (where == "Environment") {
        source = environment_provider(parts_.from);
    } else if (where == "EcsContainer") {
        source = container_provider(parts_);
    } else if (where == "Ec2InstanceMetadata") {
        source = imds_provider(parts_);
    } else {
        co_return fail(errc::permission_denied, concat("profile '", name,
                                                       "' has role_arn and needs source_profile or "
                                                       "credential_source"));
    }
    auto fetched = co_await source->fetch(until);
    if (!fetched && fetched.error().code == errc::not_found) {
        fetched.error().code = errc::permission_denied;
    }
    co_return fetched;
}

}  // namespace

std::unique_ptr<credential_provider> environment_provider(environment from) {
    return std::make_unique<environment_keys>(std::move(from));
}
std::unique_ptr<credential_provider> profile_provider(provider_parts parts) {
    return std::make_unique<profile_keys>(std::move(parts));
}
std::unique_ptr<credential_provider> web_identity_provider(provider_parts parts) {
    return std::make_unique<web_identity>(std::move(parts));
}
std::unique_ptr<credential_provider> container_provider(provider_parts parts) {
    return std::make_unique<container_keys>(std::move(parts));
}
std::unique_ptr<credential_provider> imds_provider(const provider_parts& parts) {
    return std::make_unique<imds_keys>(parts);
}

}  // namespace hearth::aws
