#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aws/settings.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/settings.h"
#include "ctrl/worker_registry.h"
#include "entrance.h"
#include "redis/endpoint.h"
#include "sandbox_options.h"
#include "worker/lane_endpoint.h"

namespace hearth {

// Settings of hearth-controller and hearth-worker, from the environment and a file of settings
// (docs/fleet.md, "Settings"). One file may serve both: each takes what it has a use for.

// The services, and what both programs have.
struct fleet_options {
    // AWS_*: the process's environment before the file.
    aws::environment environment;
    aws::settings aws;
    std::string bucket;
    std::string functions_table;
    std::string records_table;
    std::string queue_url;
    std::string dead_letter_url;
    redis::endpoint redis;
    std::string redis_authorities;       // a PEM file; empty: AWS_CA_BUNDLE's, or the system's
    std::string controller_authorities;  // of a worker, likewise
    seconds outcome_ttl{120};
    std::string worker_token;
    seconds grace{25};
    entrance_options door;
};

struct controller_options {
    fleet_options fleet;
    std::string api_key;
    std::int64_t rate_limit = 100;  // requests per window and client address; 0: none
    milliseconds rate_window{60'000};
    bool rate_limit_fails_open = true;
    milliseconds heartbeat_interval = ctrl::worker_registry::heartbeat_interval_default;
    milliseconds function_cache_time{5'000};
    std::string temporary_folder;
    milliseconds code_grace{86'400'000};  // that code which no function uses stays
    bool publishes_backlog = false;
    // Where lanes are taken, as net::open_listening_socket() has it; empty: nowhere.
    std::string lane_address;
};

struct worker_program_options {
    fleet_options fleet;
    std::string controller_url;  // without a slash at its end
    std::string data_dir;
    sandbox_options sandboxes;
    std::size_t job_concurrency = 8;
    milliseconds queue_wait{20'000};
    std::size_t code_cache_bytes = 0;
    std::optional<worker::lane_endpoint> lane;  // none: calls come through the queue alone
    std::string lane_authorities;               // a PEM file; empty: the system's
    std::uint32_t lane_concurrency = 0;
};

struct settings_request {
    std::string file = ".env";
    bool file_required = false;
    // Answers "ssm:" and "secretsmanager:" references; without it AWS is asked.
    std::function<result<std::string>(const secret_reference&)> resolver = {};
};

template <class Options>
struct read_settings {
    Options options;
    settings values;                           // all of them, for a table
    std::vector<secret_reference> references;  // those that were followed
};

// errc::invalid_argument: every problem, a line each. Names in the file that no program has are
// told in the log. Sets the log level.
[[nodiscard]] result<read_settings<controller_options>> read_controller_settings(
    const settings_request& from);
[[nodiscard]] result<read_settings<worker_program_options>> read_worker_settings(
    const settings_request& from);

// What --help says of them: a paragraph each.
[[nodiscard]] std::string controller_settings_help();
[[nodiscard]] std::string worker_settings_help();

}  // namespace hearth
