#include "controller_server.h"

#include <memory>

#include <prometheus/text_serializer.h>
#include <sys/stat.h>

#include "aws/backlog_publisher.h"
#include "backlog_meter.h"
#include "base/concat.h"
#include "base/log.h"
#include "ctrl/api.h"
#include "ctrl/code_sweep.h"
#include "ctrl/http_metrics.h"
#include "ctrl/lane_hub.h"
#include "ctrl/lane_invoker.h"
#include "ctrl/queued_invoker.h"
#include "ctrl/worker_api.h"
#include "entrance.h"
#include "faas/confined_intake.h"
#include "fleet_gauges.h"
#include "fleet_program.h"
#include "fleet_services.h"
#include "groundwork.h"
#include "http_front.h"
#include "installation.h"
#include "net/listener.h"
#include "privileges.h"
#include "redis/rate_limiter.h"
#include "redis/worker_census.h"
#include "ring_gauges.h"
#include "service_watch.h"
#include "worker/dead_letters.h"

namespace hearth {
namespace {

constexpr std::size_t blocking_threads = 4;  // uploads, files, names of hosts
constexpr std::size_t blocking_queue_max = 1000;
constexpr std::size_t open_files_besides = 256;
constexpr seconds measure_wait{5};
constexpr seconds last_answer_wait{3};  // after the grace, for the answers of ended calls

// What must be done before privileges are dropped and threads exist.
struct ground {
    unique_fd unpacker;  // the program hearth-unpack
    entrance door;
    uring::signal_watch signals;
    unique_fd lanes;  // listening; none without lanes
};

result<ground> lay_ground(const controller_options& options) {
    auto installed = find_installation();
    if (!installed) {
        return propagate(installed);
    }
    ::umask(S_IWGRP | S_IWOTH);
    provide_open_files(http::server_options{}.connections_max * options.fleet.door.threads +
                       open_files_besides);
    auto unpacker = faas::confined_intake::open_program(installed->unpacker);
    if (!unpacker) {
        return propagate(unpacker);
    }
    auto door = open_entrance(options.fleet.door);
    if (!door) {
        return propagate(door);
    }
    unique_fd lanes;
    if (!options.lane_address.empty()) {
        auto listening = open_lane_door(options.lane_address, find_service_user());
        if (!listening) {
            return propagate(listening);
        }
        lanes = std::move(*listening);
    }
    auto signals = hear_signals();
    if (!signals) {
        return propagate(signals);
    }
    if (auto dropped = drop_privileges(find_service_user()); !dropped) {
        return propagate(dropped);
    }
    return ground{std::move(*unpacker), std::move(*door), std::move(*signals), std::move(lanes)};
}

// Everything that hearth-controller has, wired together.
class controller_server {
public:
    controller_server(const controller_options& options, const service_manager& manager,
                      ground& from, uring::ring& home)
        : options_(options), manager_(manager), ground_(from), home_(home) {}

    result<> open();
    task<int> run();

private:
    void wire_calls();
    void wire_upkeep();
    void wire_api();
    void heard(faas::worker_report report);
    task<void> serve_lanes();
    task<void> shut_down();
    task<void> drain_connections(deadline until, event& answered);
    task<std::string> metrics_text();
    std::string unhealthy();

    const controller_options& options_;
    const service_manager& manager_;
    ground& ground_;
    uring::ring& home_;

    prometheus::Registry registry_;
    thread_pool blocking_{blocking_threads, blocking_queue_max};
    std::unique_ptr<fleet_services> services_;
    std::unique_ptr<faas::confined_intake> archives_;
    std::unique_ptr<redis::rate_limiter> limiter_;
    ctrl::worker_registry workers_{options_.heartbeat_interval};
    ctrl::retirements retired_{workers_.dead_after()};
    // Run synchronous calls: the lanes, where there are any, and the queue behind them.
    std::unique_ptr<ctrl::queued_invoker> queued_;
    std::unique_ptr<ctrl::lane_hub> lanes_;
    std::unique_ptr<ctrl::lane_invoker> over_lanes_;
    std::unique_ptr<ctrl::registry> known_;
    std::unique_ptr<ctrl::calls> calls_;
    std::unique_ptr<worker::dead_letters> dead_letters_;
    std::unique_ptr<service_watch> watch_;
    std::unique_ptr<redis::worker_census> census_;
    std::unique_ptr<backlog_meter> backlog_;
    std::unique_ptr<ctrl::code_sweep> sweep_;
    std::unique_ptr<aws::client> cloudwatch_;
    std::unique_ptr<aws::backlog_publisher> publisher_;
    ctrl::api_key key_{options_.api_key};
    ctrl::failed_attempts failures_{options_.rate_limit > 0};
    ctrl::api_key worker_token_{options_.fleet.worker_token};
    std::unique_ptr<ctrl::api> api_;
    std::unique_ptr<ctrl::worker_api> worker_api_;
    ctrl::http_metrics http_metrics_{registry_};
    ring_gauges ring_gauges_{registry_};
    http::router routes_;
    std::unique_ptr<http_front> front_;
    bool draining_ = false;
};

result<> controller_server::open() {
    auto services = fleet_services::create(options_.fleet, blocking_);
    if (!services) {
        return propagate(services);
    }
    services_ = std::move(*services);
    auto archives = faas::confined_intake::create(std::move(ground_.unpacker), blocking_);
    if (!archives) {
        return propagate(archives);
    }
    archives_ = std::move(*archives);
    wire_calls();
    wire_upkeep();
    wire_api();
    return {};
}

void controller_server::wire_calls() {
    limiter_ = std::make_unique<redis::rate_limiter>(
        services_->redis(),
        redis::rate_limiter_settings{.limit = options_.rate_limit,
                                     .window = options_.rate_window,
                                     .fail_open = options_.rate_limit_fails_open});
    queued_ = std::make_unique<ctrl::queued_invoker>(
        services_->queue(), services_->log(), services_->results(),
        [this](std::string_view id, std::int64_t revision) {
            retired_.add(id, revision, steady_clock::now());
        });
    if (ground_.lanes) {
        lanes_ = std::make_unique<ctrl::lane_hub>(
            ctrl::lane_hub_options{.token = options_.fleet.worker_token},
            [this](faas::worker_report report) { heard(std::move(report)); },
            [](const std::string&) {});  // its heartbeats tell whether the worker still lives
        over_lanes_ = std::make_unique<ctrl::lane_invoker>(*lanes_, *queued_);
    }
    faas::invoker& runner = over_lanes_ ? static_cast<faas::invoker&>(*over_lanes_)
                                        : static_cast<faas::invoker&>(*queued_);
    known_ = std::make_unique<ctrl::registry>(services_->functions(), services_->code(), runner,
                                              *archives_, options_.function_cache_time);
    calls_ = std::make_unique<ctrl::calls>(runner, services_->log(), services_->queue());
}

// What goes on beside the calls.
void controller_server::wire_upkeep() {
    dead_letters_ = std::make_unique<worker::dead_letters>(services_->queue(), services_->log(),
                                                           services_->results());
    auto watched = services_->probes();
    watched.push_back({.service = "rate limit",
                       .target = redis::to_text(options_.fleet.redis),
                       .needs = "EVALSHA",
                       .ask = [this](deadline until) {
                           return limiter_->probe(until);
                       }});
    watch_ = std::make_unique<service_watch>(std::move(watched));
    census_ = std::make_unique<redis::worker_census>(
        services_->redis(), redis::worker_census_settings{.lifetime = workers_.dead_after()});
    backlog_ = std::make_unique<backlog_meter>(services_->queue(), workers_, *census_);
    sweep_ =
        std::make_unique<ctrl::code_sweep>(services_->functions(), services_->code(),
                                           ctrl::code_sweep_options{.grace = options_.code_grace});
    if (options_.publishes_backlog) {
        cloudwatch_ = std::make_unique<aws::client>(services_->web(), &services_->keys(),
                                                    options_.fleet.aws, aws::service::cloudwatch);
        publisher_ = std::make_unique<aws::backlog_publisher>(
            *cloudwatch_, aws::backlog_publisher_options{.queue_url = options_.fleet.queue_url},
            [this](deadline until) { return backlog_->per_instance(until); });
    }
}

void controller_server::wire_api() {
    api_ = std::make_unique<ctrl::api>(
        ctrl::api::parts{.home = home_,
                         .functions = *known_,
                         .running = *calls_,
                         .limiter = *limiter_,
                         .blocking = blocking_,
                         .key = key_,
                         .failures = failures_,
                         .make_job_id = [this] { return services_->job_ids().make(); },
                         .metrics_text = [this] { return metrics_text(); },
                         .unhealthy =
                             [this] {
                                 return unhealthy();
                             }},
        ctrl::api_options{.temporary_folder = options_.temporary_folder});
    api_->add_routes(routes_);
    worker_api_ =
        std::make_unique<ctrl::worker_api>(ctrl::worker_api::parts{.home = home_,
                                                                   .workers = workers_,
                                                                   .retired = retired_,
                                                                   .worker_token = worker_token_,
                                                                   .operator_key = key_,
                                                                   .failures = failures_});
    worker_api_->add_routes(routes_);
    front_ = std::make_unique<http_front>(home_, ground_.door, routes_, http_metrics_);
}

void controller_server::heard(faas::worker_report report) {
    auto noted = workers_.heard(std::move(report), steady_clock::now(), wall_clock_ms());
    if (!noted) {
        log::warning("a worker's report was not noted", {{"reason", noted.error().message}});
    }
}

// Until it is stopped. TLS where the API has it; a Unix socket needs none.
task<void> controller_server::serve_lanes() {
    net::listener from(std::move(ground_.lanes));
    const bool local = options_.lane_address.starts_with('/');
    co_await lanes_->serve(from, local ? nullptr : ground_.door.tls);
    co_await from.close();
}

task<int> controller_server::run() {
    event stopping;
    scope tasks;
    scope serving;
    services_->start();
    co_await watch_->look();
    tasks.spawn(watch_signals(ground_.signals, *front_, stopping));
    tasks.spawn(watch_->run());
    tasks.spawn(dead_letters_->run());
    tasks.spawn(backlog_->run());
    tasks.spawn(sweep_->run());
    tasks.spawn(feed_watchdog(manager_));
    if (publisher_) {
        tasks.spawn(publisher_->run());
    }
    if (lanes_) {
        tasks.spawn(serve_lanes());
        log::info("taking lanes", {{"address", options_.lane_address}});
    }
    bool failed = false;
    if (auto started = co_await front_->start(serving); !started) {
        log::error("a thread cannot serve", {{"reason", started.error().message}});
        failed = true;
        stopping.set();
    }
    log::info("listening", {{"url", ground_.door.url}, {"threads", options_.fleet.door.threads}});
    ground_.door.announce_port();
    [[maybe_unused]] const auto told = manager_.ready(concat("serving ", ground_.door.url));
    [[maybe_unused]] const auto stopped = co_await stopping.wait();
    tasks.spawn(extend_stop(manager_, after(options_.fleet.grace + last_answer_wait)));
    co_await shut_down();
    co_await serving.join();
    co_await calls_->finish();
    co_await archives_->finish();
    tasks.request_stop();
    co_await tasks.join();
    co_await services_->stop();
    front_->join();
    log::info("stopped");
    co_return failed ? 1 : 0;
}

// No new requests; callers that wait get their answers, after the grace a 504 with the job id. What
// the queue or a worker has of theirs goes on: its records tell.
task<void> controller_server::shut_down() {
    draining_ = true;
    log::info("draining",
              {{"graceSeconds", options_.fleet.grace.count()}, {"calls", calls_->live()}});
    [[maybe_unused]] const auto told =
        manager_.stopping(concat("draining, ", calls_->live(), " calls"));
    const deadline grace = after(options_.fleet.grace);
    event answered;
    scope connections;
    connections.spawn(drain_connections(grace + last_answer_wait, answered));
    [[maybe_unused]] const auto all = co_await answered.wait(grace);
    queued_->stop_waiting();
    if (lanes_) {
        over_lanes_->leave_calls();
        co_await lanes_->finish();
    }
    co_await connections.join();
}

task<void> controller_server::drain_connections(deadline until, event& answered) {
    co_await front_->drain(until);
    answered.set();
}

task<std::string> controller_server::metrics_text() {
    co_await front_->measure(ring_gauges_);
    ring_gauges_.set_calls(calls_->statistics(), calls_->live());
    services_->refresh_gauges(registry_);
    fleet_gauges gauges(registry_);
    gauges.set_workers(workers_.count(steady_clock::now()));
    gauges.set_queued(queued_->statistics());
    if (lanes_) {
        ring_gauges_.set_lanes(*lanes_, over_lanes_->statistics());
    }
    gauges.set_dead_letters(dead_letters_->statistics());
    gauges.set_rate_limit(*limiter_);
    gauges.set_code_sweep(sweep_->counts());
    const auto now = co_await backlog_->read(after(measure_wait));
    gauges.set_backlog(now, backlog_->age());
    co_return prometheus::TextSerializer().Serialize(registry_.Collect());
}

std::string controller_server::unhealthy() {
    if (draining_) {
        return "draining";
    }
    std::string trouble = watch_->trouble();
    if (!services_->results().is_up() && !trouble.contains("Redis")) {
        trouble += concat(trouble.empty() ? "" : "; ", "Redis: not connected");
    }
    // A request may meet it before the next look does.
    if (limiter_->trouble() != redis::limiter_trouble::none && !trouble.contains("rate limit")) {
        trouble += concat(trouble.empty() ? "" : "; ",
                          "rate limit: ", redis::to_string(limiter_->trouble()));
    }
    return trouble;
}

}  // namespace

result<int> run_controller(const controller_options& options, const service_manager& manager) {
    auto from = lay_ground(options);
    if (!from) {
        return propagate(from);
    }
    return serve_on_ring<controller_server>(options, manager, *from);
}

}  // namespace hearth
