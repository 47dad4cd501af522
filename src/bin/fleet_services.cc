#include "fleet_services.h"

#include <array>
#include <utility>

#include "base/concat.h"
#include "base/gauges.h"
#include "base/log.h"
#include "net/tls.h"

namespace hearth {
namespace {

constexpr std::string_view probed_id = "hearth-probe";  // of nothing that exists

// That there is no such thing is an answer, too.
template <class T>
result<> answered(result<T> got) {
    if (!got && got.error().code != errc::not_found) {
        return propagate(got);
    }
    return {};
}

// libcurl would say so at the first request only, and then of every one.
result<> check_authorities(const std::string& file) {
    auto made = net::tls_context::for_client(file);
    return made ? result<>{} : propagate(made);
}

}  // namespace

result<std::unique_ptr<fleet_services>> fleet_services::create(const fleet_options& options,
                                                               thread_pool& blocking) {
    auto web = http::client::create({.authorities_file = options.aws.authorities_file()});
    if (!web) {
        return propagate(web);
    }
    std::unique_ptr<http::client> controller_web;
    if (!options.controller_authorities.empty()) {
        if (auto readable = check_authorities(options.controller_authorities); !readable) {
            return propagate(readable);
        }
        auto made = http::client::create({.authorities_file = options.controller_authorities});
        if (!made) {
            return propagate(made);
        }
        controller_web = std::move(*made);
    }
    std::shared_ptr<const net::tls_context> redis_tls;
    if (options.redis.tls) {
        auto made = net::tls_context::for_client(options.redis_authorities.empty()
                                                     ? options.aws.authorities_file()
                                                     : options.redis_authorities);
        if (!made) {
            return propagate(made);
        }
        redis_tls = std::move(*made);
    }
    return std::unique_ptr<fleet_services>(new fleet_services(
        options, std::move(*web), std::move(controller_web), std::move(redis_tls), blocking));
}

fleet_services::fleet_services(const fleet_options& options, std::unique_ptr<http::client> web,
                               std::unique_ptr<http::client> controller_web,
                               std::shared_ptr<const net::tls_context> redis_tls,
                               thread_pool& blocking)
    : options_(options),
      web_(std::move(web)),
      controller_web_(std::move(controller_web)),
      keys_(aws::credential_chain::standard({.from = options.environment,
                                             .transport = *web_,
                                             .blocking = blocking,
                                             .config = options.aws})),
      sqs_(*web_, keys_.get(), options.aws, aws::service::sqs),
      s3_(*web_, keys_.get(), options.aws, aws::service::s3),
      dynamodb_(*web_, keys_.get(), options.aws, aws::service::dynamodb),
      bucket_(s3_, options.bucket),
      large_events_(bucket_, "events/"),
      large_records_(bucket_, "records/"),
      code_(bucket_, blocking),
      functions_(dynamodb_, options.functions_table),
      job_ids_(options.worker_token),
      log_(dynamodb_, large_records_,
           {.table_name = options.records_table,
            .issued_at =
                [this](std::string_view id) {
                    return job_ids_.issued_at(id);
                }}),
      queue_(sqs_, large_events_,
             {.queue_url = options.queue_url, .dead_letter_url = options.dead_letter_url}),
      redis_settings_{.where = options.redis, .tls = std::move(redis_tls)},
      redis_(redis_settings_, blocking),
      results_(redis_, redis_settings_, blocking, {.outcome_ttl = options.outcome_ttl}) {}

void fleet_services::start() {
    transports_.emplace();
    transports_->spawn(web_->run());
    if (controller_web_) {
        transports_->spawn(controller_web_->run());
    }
    transports_->spawn(redis_.run());
    transports_->spawn(results_.run());
    queueing_.emplace();
    queueing_->spawn(queue_.run());
}

task<void> fleet_services::finish_receiving(deadline until) {
    if (auto ended = co_await queue_.finish_polls(until); !ended) {
        log::warning("a request for jobs is cut off; what comes on it is invisible for a while",
                     {{"reason", ended.error().message}});
    }
}

task<void> fleet_services::stop() {
    for (auto* each : {&queueing_, &transports_}) {
        (*each)->request_stop();
        co_await (*each)->join();
    }
}

std::vector<service_probe> fleet_services::probes() {
    const auto place = [this](aws::service which) {
        return options_.aws.endpoint_of(which).authority;
    };
    return {
        {.service = "credentials",
         .target = "AWS",
         .needs = "any place of the chain",
         .ask =
             [this](deadline until) {
                 return probe_credentials(until);
             }},
        {.service = "SQS",
         .target = concat(options_.queue_url, " at ", place(aws::service::sqs)),
         .needs = "sqs:GetQueueAttributes",
         .ask =
             [this](deadline until) {
                 return probe_queue(until);
             }},
        {.service = "S3",
         .target = concat(options_.bucket, " at ", place(aws::service::s3)),
         .needs = "s3:ListBucket",
         .ask =
             [this](deadline until) {
                 return probe_code(until);
             }},
        {.service = "DynamoDB",
         .target = concat(options_.functions_table, " at ", place(aws::service::dynamodb)),
         .needs = "dynamodb:GetItem",
         .ask =
             [this](deadline until) {
                 return probe_functions(until);
             }},
        {.service = "DynamoDB",
         .target = concat(options_.records_table, " at ", place(aws::service::dynamodb)),
         .needs = "dynamodb:GetItem",
         .ask =
             [this](deadline until) {
                 return probe_log(until);
             }},
        {.service = "Redis",
         .target = redis::to_text(options_.redis),
         .needs = "PING",
         .ask =
             [this](deadline until) {
                 return probe_redis(until);
             }},
    };
}

task<result<>> fleet_services::probe_credentials(deadline until) {
    co_return answered(co_await keys_->get(until));
}

task<result<>> fleet_services::probe_queue(deadline until) {
    co_return answered(co_await queue_.measure(until));
}

task<result<>> fleet_services::probe_functions(deadline until) {
    co_return answered(co_await functions_.get(probed_id, until));
}

task<result<>> fleet_services::probe_log(deadline until) {
    co_return answered(co_await log_.get(probed_id, until));
}

task<result<>> fleet_services::probe_code(deadline until) {
    co_return answered(co_await code_.list("", 1, until));
}

task<result<>> fleet_services::probe_redis(deadline until) {
    co_return answered(co_await redis_.call({"PING"}, until));
}

void fleet_services::refresh_gauges(prometheus::Registry& metrics) const {
    gauges out(metrics);
    for (const auto* each : {&sqs_, &s3_, &dynamodb_}) {
        const prometheus::Labels service{
            {"service", std::string(aws::signing_name(each->which()))}};
        const auto& counts = each->counts();
        out.set("hearth_aws_calls", "Calls of AWS's services", counts.calls, service);
        out.set("hearth_aws_call_errors", "Those that ended in an error", counts.failed, service);
        out.set("hearth_aws_retries", "Requests that were made again", counts.retries, service);
        out.set("hearth_aws_throttled", "Answers that asked for less", counts.throttled, service);
    }
    const auto& redis = redis_.counts();
    out.set("hearth_redis_up", "1 while commands and subscriptions are connected",
            results_.is_up() ? 1 : 0);
    out.set("hearth_redis_commands", "Commands sent to Redis", redis.commands);
    out.set("hearth_redis_command_errors", "Those without a reply", redis.command_errors);
    out.set("hearth_redis_connections_lost", "Connections that ended unasked", redis.lost);
    out.set("hearth_result_waiters", "Callers that wait for a result over Redis",
            results_.waiting());
}

}  // namespace hearth
