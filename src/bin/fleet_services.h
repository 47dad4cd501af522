#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <prometheus/registry.h>

#include "aws/code_store.h"
#include "aws/credential_chain.h"
#include "aws/function_table.h"
#include "aws/invocation_log.h"
#include "aws/job_queue.h"
#include "coro/scope.h"
#include "coro/thread_pool.h"
#include "faas/job_ids.h"
#include "fleet_settings.h"
#include "http/client.h"
#include "redis/client.h"
#include "redis/result_bus.h"

namespace hearth {

// One service as --check-config and /health look at it.
struct service_probe {
    std::string service;  // "SQS"
    std::string target;   // which queue, table, host
    std::string needs;    // the rights that it tries, as IAM calls them
    std::function<task<result<>>(deadline until)> ask;
};

// The services that a fleet shares, behind their ports, with what they need: one HTTP client, one
// source of credentials, one connection to Redis beside the subscriptions' own. Both programs have
// one of these. Ring thread only.
class fleet_services {
public:
    // `options` and `blocking` outlive it.
    [[nodiscard]] static result<std::unique_ptr<fleet_services>> create(
        const fleet_options& options, thread_pool& blocking);

    // Connects; everything works from the next turn of the loop on.
    void start();
    // After the last receive() of the queue: until no job is on its way here any more.
    task<void> finish_receiving(deadline until);
    // Last of all, when nobody uses them any more.
    task<void> stop();

    [[nodiscard]] faas::job_queue& queue() noexcept { return queue_; }
    [[nodiscard]] faas::function_table& functions() noexcept { return functions_; }
    [[nodiscard]] faas::invocation_log& log() noexcept { return log_; }
    // All controllers have the same secret: WORKER_TOKEN.
    [[nodiscard]] const faas::job_ids& job_ids() const noexcept { return job_ids_; }
    [[nodiscard]] faas::code_store& code() noexcept { return code_; }
    [[nodiscard]] redis::result_bus& results() noexcept { return results_; }
    [[nodiscard]] redis::client& redis() noexcept { return redis_; }
    // For the controller's address, where a worker trusts other authorities for it.
    [[nodiscard]] http::client& controller_web() noexcept {
        return controller_web_ ? *controller_web_ : *web_;
    }
    // For further clients of AWS and for what else speaks HTTP.
    [[nodiscard]] http::client& web() noexcept { return *web_; }
    [[nodiscard]] aws::credentials_source& keys() noexcept { return *keys_; }

    [[nodiscard]] std::vector<service_probe> probes();
    // Calls, errors and retries of each service, since the start.
    void refresh_gauges(prometheus::Registry& metrics) const;

private:
    fleet_services(const fleet_options& options, std::unique_ptr<http::client> web,
                   std::unique_ptr<http::client> controller_web,
                   std::shared_ptr<const net::tls_context> redis_tls, thread_pool& blocking);
    task<result<>> probe_credentials(deadline until);
    task<result<>> probe_queue(deadline until);
    task<result<>> probe_functions(deadline until);
    task<result<>> probe_log(deadline until);
    task<result<>> probe_code(deadline until);
    task<result<>> probe_redis(deadline until);

    const fleet_options& options_;
    std::unique_ptr<http::client> web_;
    std::unique_ptr<http::client> controller_web_;  // null: web_ serves
    std::unique_ptr<aws::credential_chain> keys_;
    aws::client sqs_;
    aws::client s3_;
    aws::client dynamodb_;
    aws::bucket bucket_;
    aws::blobs large_events_;
    aws::blobs large_records_;
    aws::code_store code_;
    aws::function_table functions_;
    faas::job_ids job_ids_;
    aws::invocation_log log_;
    aws::job_queue queue_;
    redis::client_settings redis_settings_;
    redis::client redis_;
    redis::result_bus results_;
    std::optional<scope> transports_;  // what the queue's client needs to its end
    std::optional<scope> queueing_;
};

}  // namespace hearth
