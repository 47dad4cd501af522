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

// A row of each kind. An empty default is none; a duration's range is in milliseconds.

struct range {
    std::int64_t minimum = 0;
    std::int64_t maximum = INT64_MAX;
};

constexpr setting in_range(setting_kind kind, std::string_view name, std::string_view help,
                           std::string_view fallback, range within) {
    return {.name = name,
            .kind = kind,
            .help = help,
            .fallback = fallback,
            .minimum = within.minimum,
            .maximum = within.maximum};
}
constexpr setting integer(std::string_view name, std::string_view help, std::string_view fallback,
                          range within) {
    return in_range(setting_kind::integer, name, help, fallback, within);
}
constexpr setting bytes(std::string_view name, std::string_view help, std::string_view fallback,
                        range within) {
    return in_range(setting_kind::bytes, name, help, fallback, within);
}
constexpr setting duration(std::string_view name, std::string_view help, std::string_view fallback,
                           range within) {
    return in_range(setting_kind::duration, name, help, fallback, within);
}
constexpr setting boolean(std::string_view name, std::string_view help, std::string_view fallback) {
    return {.name = name, .kind = setting_kind::boolean, .help = help, .fallback = fallback};
}
constexpr setting url(std::string_view name, std::string_view help) {
    return {.name = name, .kind = setting_kind::url, .help = help};
}
constexpr setting text(std::string_view name, std::string_view help, std::string_view fallback = {},
                       result<> (*check)(std::string_view) = nullptr) {
    return {.name = name, .help = help, .fallback = fallback, .check = check};
}
constexpr setting secret(std::string_view name, std::string_view help,
                         result<> (*check)(std::string_view)) {
    return {.name = name, .help = help, .secret = true, .check = check};
}
constexpr setting required(setting row) {
    row.required = true;
    return row;
}

constexpr std::array shared_table{
    text("AWS_REGION",
         "region of the services, such as eu-central-1; AWS_DEFAULT_REGION serves too"),
    required(text("BUCKET_NAME", "S3 bucket that holds code and large payloads", "", check_bucket)),
    required(text("TABLE_NAME", "DynamoDB table of functions", "", check_table)),
    required(text("LOGS_TABLE_NAME", "DynamoDB table of invocation records", "", check_table)),
    required(url("SQS_URL", "URL of the job queue")),
    required(url("DLQ_URL", "URL of the dead-letter queue")),
    required(secret("REDIS_HOST",
                    "host[:port], or redis[s]://[[user]:password@]host[:port][/database]",
                    check_redis)),
    text("REDIS_CA_FILE",
         "PEM certificates to trust for rediss:// [AWS_CA_BUNDLE's, or the system's]"),
    duration("HEARTH_OUTCOME_TTL",
             "how long Redis keeps an outcome for a caller that lost its connection", "120s",
             {10'000, 3'600'000}),
    required(secret("WORKER_TOKEN",
                    "what workers show the controller; the same on both, 16 characters or more",
                    check_token)),
    integer("HEARTH_GRACE_SECONDS", "how long running work may finish after SIGTERM", "25",
            {0, seconds_max}),
    text("HEARTH_LOG_LEVEL", "debug, info, warning or error", "info", check_log_level),
};

constexpr std::array controller_table{
    integer("PORT", "port of the API; 0 takes a free one", "8080", {0, 65'535}),
    required(
        secret("INFRA_API_KEY",
               "key that callers of the API send; another than WORKER_TOKEN, 16 characters or more",
               check_token)),
    text("HEARTH_LISTEN", "numeric address to listen on; 0.0.0.0 for all", "127.0.0.1",
         check_address),
    text("HEARTH_PORT_FILE", "file that receives the port, once it listens"),
    integer("HEARTH_THREADS", "threads that serve connections, one ring each", "1", {1, 64}),
    text("HEARTH_TLS_CERT", "PEM certificate chain; with HEARTH_TLS_KEY: TLS"),
    text("HEARTH_TLS_KEY", "file with the PEM key of that certificate"),
    integer("HEARTH_RATE_LIMIT", "requests per window and client address; 0 is no limit", "100",
            {0, 1'000'000}),
    duration("HEARTH_RATE_WINDOW", "that window", "60s", {1'000, 3'600'000}),
    boolean("HEARTH_RATE_LIMIT_FAIL_OPEN",
            "while Redis is away, let requests pass (true) or answer 503 (false)", "true"),
    boolean("HEARTH_PUBLISH_BACKLOG",
            "tell CloudWatch once a minute how many jobs there are for each worker", "false"),
    duration("HEARTH_HEARTBEAT_INTERVAL",
             "how often workers shall report; after three missed ones a worker is dead", "10s",
             {100, 60'000}),
    duration("HEARTH_FUNCTION_CACHE_TIME",
             "how long another controller's change of a function may go unnoticed", "5s",
             {0, 3'600'000}),
    duration("HEARTH_CODE_GRACE", "how long uploaded code stays at least when no function uses it",
             "24h", {3'600'000, 31'536'000'000}),
    text("HEARTH_TEMPORARY_FOLDER", "where uploads lie, without a name, until they are stored",
         "/var/tmp"),
    integer("LANE_PORT",
            "port on which workers open lanes for synchronous calls, on HEARTH_LISTEN; with "
            "HEARTH_TLS_CERT over TLS [none: those calls go through the queue]",
            "", {1, 65'535}),
    text("LANE_SOCKET", "path of a Unix socket in the place of LANE_PORT", "", check_path),
    url("AI_NODE_URL", "reserved for a gateway to a model server; checked, and not used yet"),
};

constexpr std::array worker_table{
    required(url("CONTROLLER_URL", "where heartbeats go: http://controller:8080")),
    text("CONTROLLER_CA_FILE",
         "PEM certificates to trust for an https:// CONTROLLER_URL [AWS_CA_BUNDLE's, or the "
         "system's]"),
    text("LANE_URL",
         "where to open a lane: tcp://controller:port, tls://controller:port or unix:/path [none: "
         "calls come through the queue]",
         "", check_lane),
    text("LANE_CA_FILE", "PEM certificates to trust for tls:// [the system's]"),
    integer("LANE_CONCURRENCY",
            "calls that run over the lane at once [sandboxes of 128 MB that fit]", "",
            {1, lane::credits_max}),
    integer("WARM_POOL_PYTHON_SIZE", "sandboxes that wait ready for whatever function comes next",
            "5", {0, sandbox::parked_max}),
    integer("MAX_MEMORY_MB",
            "for the memoryMb of all sandboxes together [three quarters of the host's]", "",
            {memory_budget_mb_min}),
    text("HEARTH_DATA_DIR",
         "folder for unpacked code [/var/lib/hearth-worker for root, ~/.local/share/hearth-worker "
         "otherwise]"),
    bytes("HEARTH_CODE_CACHE_SIZE", "how much unpacked code stays there", "2GB", {256 << 20}),
    integer("HEARTH_JOB_CONCURRENCY", "jobs that run at once", "8", {1, 1'000}),
    duration("HEARTH_QUEUE_WAIT",
             "how long one request to the queue waits for jobs; a stop waits for its end", "20s",
             {1'000, 20'000}),
    integer("HEARTH_CONCURRENCY", "sandboxes of one function at most", "16", {1, 1'000}),
    integer("HEARTH_SLOTS", "sandboxes that can live at once", "256", {1, sandbox::slots_max}),
    integer("HEARTH_SHELLS", "sandboxes that wait ready but for Python", "16",
            {0, sandbox::shells_max}),
    text("HEARTH_ZYGOTE", "where a sandbox's Python comes from: shared, per-function or off",
         "shared", check_zygote),
    text("HEARTH_ZYGOTE_MODULES",
         "installed modules to import ahead for all functions, with commas"),
    integer("HEARTH_IDLE_TTL_SECONDS", "how long a sandbox stays warm without a call", "600",
            {0, seconds_max}),
    integer("HEARTH_FREEZE_AFTER_SECONDS",
            "how long an idle sandbox's processes go on running; 0 never stops them", "2",
            {0, seconds_max}),
    integer("HEARTH_CPU_FLOOR_MILLIS", "the least CPU of a function, in thousandths of a processor",
            "1000", {sandbox::cpu_millis_min, sandbox::cpu_millis_max}),
    boolean("HEARTH_ALLOW_NO_LIMITS",
            "start even where the kernel cannot limit memory and processes", "false"),
    integer("HEARTH_WORKER_PORT", "port of /health and /metrics; 0 takes a free one", "8081",
            {0, 65'535}),
    text("HEARTH_WORKER_LISTEN", "numeric address of that port", "127.0.0.1", check_address),
    text("HEARTH_WORKER_PORT_FILE", "file that receives the port"),
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
