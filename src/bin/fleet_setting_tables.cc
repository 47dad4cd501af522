#include "fleet_setting_tables.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/concat.h"
#include "lane/frame.h"
#include "log_level.h"
#include "net/address.h"
#include "redis/endpoint.h"
#include "sandbox/protocol.h"
#include "sandbox_options.h"
#include "worker/lane_endpoint.h"

namespace hearth {
namespace {

using enum setting_kind;

result<> check_redis(std::string_view text) {
    if (auto parsed = redis::parse_endpoint(text); !parsed) {
        return fail(errc::invalid_argument, concat("cannot be used: ", parsed.error().message));
    }
    return {};
}

// docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, as far as requests need it.
result<> check_bucket(std::string_view text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    };
    if (text.size() < 3 || text.size() > 63 || !std::ranges::all_of(text, allowed) ||
        text.front() == '.' || text.front() == '-' || text.back() == '.' || text.back() == '-') {
        return fail(errc::invalid_argument,
                    "is no bucket's name: 3 to 63 of a-z, 0-9, '.' and '-', a letter or digit at "
                    "both ends");
    }
    return {};
}

// …/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
result<> check_table(std::string_view text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '-' || c == '_';
    };
    if (text.size() < 3 || text.size() > 255 || !std::ranges::all_of(text, allowed)) {
        return fail(errc::invalid_argument,
                    "is no table's name: 3 to 255 of a-z, A-Z, 0-9, '.', '-' and '_'");
    }
    return {};
}

result<> check_address(std::string_view text) {
    const bool v6 = text.contains(':');
    if (!net::parse_address(concat(v6 ? "[" : "", text, v6 ? "]:1" : ":1"))) {
        return fail(errc::invalid_argument, "is not a numeric address such as 0.0.0.0 or ::1");
    }
    return {};
}

result<> check_path(std::string_view text) {
    if (!text.starts_with('/')) {
        return fail(errc::invalid_argument, "is no path that begins with '/'");
    }
    return {};
}

result<> check_lane(std::string_view text) {
    if (auto parsed = worker::parse_lane_endpoint(text); !parsed) {
        return fail(errc::invalid_argument,
                    "is not of the form tcp://host:port, tls://host:port "
                    "or unix:/path");
    }
    return {};
}

// As it goes through the header of a request and the lane's hello unchanged: a blank at an end
// would be cut off on the way, a line feed end the header. Shorter ones can be guessed.
result<> check_token(std::string_view text) {
    constexpr std::size_t bytes_min = 16;
    const auto printable = [](char c) {
        return c >= ' ' && c <= '~';
    };
    if (text.size() < bytes_min || text.size() > lane::token_bytes_max ||
        !std::ranges::all_of(text, printable) || text.starts_with(' ') || text.ends_with(' ')) {
        return fail(errc::invalid_argument,
                    concat("is not ", bytes_min, " to ", lane::token_bytes_max,
                           " printable ASCII characters without a blank at either end; "
                           "`openssl rand -hex 32` makes a good one"));
    }
    return {};
}

result<> check_log_level(std::string_view text) {
    const auto names = log_level_names();
    if (std::ranges::find(names, text) == names.end()) {
        return fail(errc::invalid_argument, "is not one of debug, info, warning and error");
    }
    return {};
}

result<> check_zygote(std::string_view text) {
    using sandbox::zygote_mode;
    for (const auto each : {zygote_mode::off, zygote_mode::shared, zygote_mode::per_function}) {
        if (text == sandbox::name_of(each)) {
            return {};
        }
    }
    return fail(errc::invalid_argument, "is not one of shared, per-function and off");
}

constexpr std::int64_t seconds_max = 86'400;

constexpr std::array shared_table{
    setting{.name = "AWS_REGION",
            .help = "region of the services, such as eu-central-1; AWS_DEFAULT_REGION serves too"},
    setting{.name = "BUCKET_NAME",
            .help = "S3 bucket that holds code and large payloads",
            .required = true,
            .check = check_bucket},
    setting{.name = "TABLE_NAME",
            .help = "DynamoDB table of functions",
            .required = true,
            .check = check_table},
    setting{.name = "LOGS_TABLE_NAME",
            .help = "DynamoDB table of invocation records",
            .required = true,
            .check = check_table},
    setting{.name = "SQS_URL", .kind = url, .help = "URL of the job queue", .required = true},
    setting{
        .name = "DLQ_URL", .kind = url, .help = "URL of the dead-letter queue", .required = true},
    setting{.name = "REDIS_HOST",
            .help = "host[:port], or redis[s]://[[user]:password@]host[:port][/database]",
            .required = true,
            .secret = true,
            .check = check_redis},
    setting{.name = "REDIS_CA_FILE",
            .help = "PEM certificates to trust for rediss:// [AWS_CA_BUNDLE's, or the system's]"},
    setting{.name = "HEARTH_OUTCOME_TTL",
            .kind = duration,
            .help = "how long Redis keeps an outcome for a caller that lost its connection",
            .fallback = "120s",
            .minimum = 10'000,
            .maximum = 3'600'000},
    setting{.name = "WORKER_TOKEN",
            .help = "what workers show the controller; the same on both, 16 characters or more",
            .required = true,
            .secret = true,
            .check = check_token},
    setting{.name = "HEARTH_GRACE_SECONDS",
            .kind = integer,
            .help = "how long running work may finish after SIGTERM",
            .fallback = "25",
            .maximum = seconds_max},
    setting{.name = "HEARTH_LOG_LEVEL",
            .help = "debug, info, warning or error",
            .fallback = "info",
            .check = check_log_level},
};

constexpr std::array controller_table{
    setting{.name = "PORT",
            .kind = integer,
            .help = "port of the API; 0 takes a free one",
            .fallback = "8080",
            .maximum = 65'535},
    setting{.name = "INFRA_API_KEY",
            .help = "key that callers of the API send; another than WORKER_TOKEN, 16 characters or "
                    "more",
            .required = true,
            .secret = true,
            .check = check_token},
    setting{.name = "HEARTH_LISTEN",
            .help = "numeric address to listen on; 0.0.0.0 for all",
            .fallback = "127.0.0.1",
            .check = check_address},
    setting{.name = "HEARTH_PORT_FILE", .help = "file that receives the port, once it listens"},
    setting{.name = "HEARTH_THREADS",
            .kind = integer,
            .help = "threads that serve connections, one ring each",
            .fallback = "1",
            .minimum = 1,
            .maximum = 64},
    setting{.name = "HEARTH_TLS_CERT", .help = "PEM certificate chain; with HEARTH_TLS_KEY: TLS"},
    setting{.name = "HEARTH_TLS_KEY", .help = "file with the PEM key of that certificate"},
    setting{.name = "HEARTH_RATE_LIMIT",
            .kind = integer,
            .help = "requests per window and client address; 0 is no limit",
            .fallback = "100",
            .maximum = 1'000'000},
    setting{.name = "HEARTH_RATE_WINDOW",
            .kind = duration,
            .help = "that window",
            .fallback = "60s",
            .minimum = 1'000,
            .maximum = 3'600'000},
    setting{.name = "HEARTH_RATE_LIMIT_FAIL_OPEN",
            .kind = boolean,
            .help = "while Redis is away, let requests pass (true) or answer 503 (false)",
            .fallback = "true"},
    setting{.name = "HEARTH_PUBLISH_BACKLOG",
            .kind = boolean,
            .help = "tell CloudWatch once a minute how many jobs there are for each worker",
            .fallback = "false"},
    setting{.name = "HEARTH_HEARTBEAT_INTERVAL",
            .kind = duration,
            .help = "how often workers shall report; after three missed ones a worker is dead",
            .fallback = "10s",
            .minimum = 100,
            .maximum = 60'000},
    setting{.name = "HEARTH_FUNCTION_CACHE_TIME",
            .kind = duration,
            .help = "how long another controller's change of a function may go unnoticed",
            .fallback = "5s",
            .maximum = 3'600'000},
    setting{.name = "HEARTH_CODE_GRACE",
            .kind = duration,
            .help = "how long uploaded code stays at least when no function uses it",
            .fallback = "24h",
            .minimum = 3'600'000,
            .maximum = 31'536'000'000},
    setting{.name = "HEARTH_TEMPORARY_FOLDER",
            .help = "where uploads lie, without a name, until they are stored",
            .fallback = "/var/tmp"},
    setting{.name = "LANE_PORT",
            .kind = integer,
            .help =
                "port on which workers open lanes for synchronous calls, on HEARTH_LISTEN; with "
                "HEARTH_TLS_CERT over TLS [none: those calls go through the queue]",
            .minimum = 1,
            .maximum = 65'535},
    setting{.name = "LANE_SOCKET",
            .help = "path of a Unix socket in the place of LANE_PORT",
            .check = check_path},
    setting{.name = "AI_NODE_URL",
            .kind = url,
            .help = "reserved for a gateway to a model server; checked, and not used yet"},
};

constexpr std::array worker_table{
    setting{.name = "CONTROLLER_URL",
            .kind = url,
            .help = "where heartbeats go: http://controller:8080",
            .required = true},
    setting{.name = "CONTROLLER_CA_FILE",
            .help = "PEM certificates to trust for an https:// CONTROLLER_URL [AWS_CA_BUNDLE's, or "
                    "the system's]"},
    setting{.name = "LANE_URL",
            .help = "where to open a lane: tcp://controller:port, tls://controller:port or "
                    "unix:/path [none: calls come through the queue]",
            .check = check_lane},
    setting{.name = "LANE_CA_FILE", .help = "PEM certificates to trust for tls:// [the system's]"},
    setting{.name = "LANE_CONCURRENCY",
            .kind = integer,
            .help = "calls that run over the lane at once [sandboxes of 128 MB that fit]",
            .minimum = 1,
            .maximum = lane::credits_max},
    setting{.name = "WARM_POOL_PYTHON_SIZE",
            .kind = integer,
            .help = "sandboxes that wait ready for whatever function comes next",
            .fallback = "5",
            .maximum = sandbox::parked_max},
    setting{.name = "MAX_MEMORY_MB",
            .kind = integer,
            .help = "for the memoryMb of all sandboxes together [three quarters of the host's]",
            .minimum = memory_budget_mb_min},
    setting{.name = "HEARTH_DATA_DIR",
            .help = "folder for unpacked code [/var/lib/hearth-worker for root, "
                    "~/.local/share/hearth-worker otherwise]"},
    setting{.name = "HEARTH_CODE_CACHE_SIZE",
            .kind = bytes,
            .help = "how much unpacked code stays there",
            .fallback = "2GB",
            .minimum = 256 << 20},
    setting{.name = "HEARTH_JOB_CONCURRENCY",
            .kind = integer,
            .help = "jobs that run at once",
            .fallback = "8",
            .minimum = 1,
            .maximum = 1'000},
    setting{.name = "HEARTH_QUEUE_WAIT",
            .kind = duration,
            .help = "how long one request to the queue waits for jobs; a stop waits for its end",
            .fallback = "20s",
            .minimum = 1'000,
            .maximum = 20'000},
    setting{.name = "HEARTH_CONCURRENCY",
            .kind = integer,
            .help = "sandboxes of one function at most",
            .fallback = "16",
            .minimum = 1,
            .maximum = 1'000},
    setting{.name = "HEARTH_SLOTS",
            .kind = integer,
            .help = "sandboxes that can live at once",
            .fallback = "256",
            .minimum = 1,
            .maximum = sandbox::slots_max},
    setting{.name = "HEARTH_SHELLS",
            .kind = integer,
            .help = "sandboxes that wait ready but for Python",
            .fallback = "16",
            .maximum = sandbox::shells_max},
    setting{.name = "HEARTH_ZYGOTE",
            .help = "where a sandbox's Python comes from: shared, per-function or off",
            .fallback = "shared",
            .check = check_zygote},
    setting{.name = "HEARTH_ZYGOTE_MODULES",
            .help = "installed modules to import ahead for all functions, with commas"},
    setting{.name = "HEARTH_IDLE_TTL_SECONDS",
            .kind = integer,
            .help = "how long a sandbox stays warm without a call",
            .fallback = "600",
            .maximum = seconds_max},
    setting{.name = "HEARTH_FREEZE_AFTER_SECONDS",
            .kind = integer,
            .help = "how long an idle sandbox's processes go on running; 0 never stops them",
            .fallback = "2",
            .maximum = seconds_max},
    setting{.name = "HEARTH_CPU_FLOOR_MILLIS",
            .kind = integer,
            .help = "the least CPU of a function, in thousandths of a processor",
            .fallback = "1000",
            .minimum = sandbox::cpu_millis_min,
            .maximum = sandbox::cpu_millis_max},
    setting{.name = "HEARTH_ALLOW_NO_LIMITS",
            .kind = boolean,
            .help = "start even where the kernel cannot limit memory and processes",
            .fallback = "false"},
    setting{.name = "HEARTH_WORKER_PORT",
            .kind = integer,
            .help = "port of /health and /metrics; 0 takes a free one",
            .fallback = "8081",
            .maximum = 65'535},
    setting{.name = "HEARTH_WORKER_LISTEN",
            .help = "numeric address of that port",
            .fallback = "127.0.0.1",
            .check = check_address},
    setting{.name = "HEARTH_WORKER_PORT_FILE", .help = "file that receives the port"},
};

}  // namespace

std::span<const setting> shared_setting_table() {
    return shared_table;
}
std::span<const setting> controller_setting_table() {
    return controller_table;
}
std::span<const setting> worker_setting_table() {
    return worker_table;
}

}  // namespace hearth
