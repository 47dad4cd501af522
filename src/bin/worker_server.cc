#include "worker_server.h"

#include <array>
#include <memory>

#include <prometheus/text_serializer.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/ids.h"
#include "base/log.h"
#include "coro/remote.h"
#include "ctrl/http_metrics.h"
#include "ctrl/status_routes.h"
#include "ec2_host.h"
#include "faas/confined_intake.h"
#include "fleet_gauges.h"
#include "fleet_program.h"
#include "groundwork.h"
#include "http_front.h"
#include "ring_gauges.h"
#include "worker/heartbeat.h"
#include "worker/intake.h"
#include "worker/lane_client.h"
#include "worker/lane_probe.h"
#include "worker/worker.h"

namespace hearth {
namespace {

constexpr std::size_t blocking_threads = 4;  // files, names of hosts
constexpr std::size_t blocking_queue_max = 1000;
constexpr seconds goodbye_wait{2};
constexpr seconds last_settling_wait{10};  // after the grace, for jobs on their way back

std::string host_name() {
    std::array<char, faas::worker_text_bytes_max> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

result<std::shared_ptr<const net::tls_context>> lane_trust(const worker_program_options& options) {
    if (!options.lane || !options.lane->tls) {
        return nullptr;
    }
    return net::tls_context::for_client(options.lane_authorities);
}

// Everything that hearth-worker has, wired together.
class worker_server {
public:
    worker_server(const worker_program_options& options, const service_manager& manager,
                  groundwork& ground, uring::ring& home)
        : options_(options), manager_(manager), ground_(ground), home_(home) {}

    result<> open();
    task<int> run();

private:
    void wire();
    result<> prepare_lane();
    void wire_lane();
    std::uint32_t lane_window() const;
    task<void> watch_sandboxd(event& stopping);
    task<void> show_status();
    task<void> shut_down(scope& jobs, deadline grace);
    task<std::string> metrics_text();
    std::string unhealthy();
    faas::worker_report report() const;

    const worker_program_options& options_;
    const service_manager& manager_;
    groundwork& ground_;
    uring::ring& home_;
    const std::string id_ = concat("worker-", make_uuid());
    const std::string host_ = host_name();

    prometheus::Registry registry_;
    thread_pool blocking_{blocking_threads, blocking_queue_max};
    std::unique_ptr<fleet_services> services_;
    std::unique_ptr<faas::confined_intake> archives_;
    std::unique_ptr<worker::worker> worker_;
    std::unique_ptr<worker::job_intake> intake_;
    std::unique_ptr<worker::heartbeat> heartbeat_;
    std::unique_ptr<worker::lane_host> lane_host_;
    std::shared_ptr<const net::tls_context> lane_tls_;
    std::unique_ptr<worker::lane_recorder> lane_recorder_;
    std::unique_ptr<worker::lane_client> lane_;  // null without LANE_URL
    std::unique_ptr<ctrl::status_routes> status_;
    ctrl::http_metrics http_metrics_{registry_};
    ring_gauges ring_gauges_{registry_};
    http::router routes_;
    std::unique_ptr<http_front> front_;
    bool draining_ = false;
    bool failed_ = false;
};

result<> worker_server::open() {
    // Before anything has begun that would have to be ended in order.
    if (auto ready = prepare_lane(); !ready) {
        return ready;
    }
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
    auto made = worker::worker::create(home_, std::move(ground_.sandboxes), services_->code(),
                                       *archives_, blocking_, registry_,
                                       {.dispatch = dispatcher_options_of(options_.sandboxes),
                                        .code_folder = ground_.data_dir + "/unpacked",
                                        .code_cache_bytes_max = options_.code_cache_bytes});
    if (!made) {
        return propagate(made);
    }
    worker_ = std::move(*made);
    wire();
    wire_lane();
    return {};
}

result<> worker_server::prepare_lane() {
    auto trusted = lane_trust(options_);
    if (!trusted) {
        return propagate(trusted);
    }
    lane_tls_ = std::move(*trusted);
    return {};
}

void worker_server::wire_lane() {
    if (!options_.lane) {
        return;
    }
    lane_host_ = std::make_unique<worker::worker_lane_host>(
        worker_->dispatch(), [this] { return lane_window(); }, [this] { return report(); });
    lane_recorder_ =
        std::make_unique<worker::lane_recorder>(services_->log(), services_->results());
    lane_ = std::make_unique<worker::lane_client>(
        *worker_, *lane_host_, blocking_,
        worker::lane_client_options{.controller = *options_.lane,
                                    .token = options_.fleet.worker_token,
                                    .worker_id = id_,
                                    .tls = lane_tls_,
                                    .recorder = lane_recorder_.get()});
}

// What jobs have taken is not there for calls.
std::uint32_t worker_server::lane_window() const {
    const auto& running = worker_->dispatch();
    const std::size_t here = running.busy() + running.waiting();
    const std::size_t ours = std::min(here, lane_ == nullptr ? 0 : lane_->calls());
    const std::size_t others = here - ours;
    return options_.lane_concurrency -
           static_cast<std::uint32_t>(std::min<std::size_t>(others, options_.lane_concurrency));
}

void worker_server::wire() {
    // The controllers look after dead letters: an idle worker is to leave the queues in peace.
    intake_ = std::make_unique<worker::job_intake>(
        services_->queue(), services_->functions(), services_->log(), services_->results(),
        *worker_,
        worker::intake_options{.concurrency = options_.job_concurrency,
                               .poll = options_.queue_wait,
                               .settle_dead = false});
    heartbeat_ = std::make_unique<worker::heartbeat>(
        services_->controller_web(),
        worker::heartbeat_options{.controller_url = options_.controller_url,
                                  .token = options_.fleet.worker_token},
        [this] { return report(); },
        [this](std::string_view id, std::int64_t revision) { worker_->retire(id, revision); });
    status_ = std::make_unique<ctrl::status_routes>(
        home_, [this] { return metrics_text(); }, [this] { return unhealthy(); });
    status_->add_routes(routes_);
    front_ = std::make_unique<http_front>(home_, ground_.door, routes_, http_metrics_);
}

task<int> worker_server::run() {
    event stopping;
    scope tasks;
    scope jobs;
    scope serving;
    scope beating;
    services_->start();
    tasks.spawn(watch_signals(ground_.signals, *front_, stopping));
    tasks.spawn(watch_sandboxd(stopping));
    tasks.spawn(feed_watchdog(manager_));
    tasks.spawn(show_status());
    ec2_host host(*services_, options_.fleet, [&stopping] { stopping.set(); });
    tasks.spawn(host.watch());
    beating.spawn(heartbeat_->run());
    if (lane_) {
        beating.spawn(lane_->run());
    }
    jobs.spawn(intake_->run());
    if (auto started = co_await front_->start(serving); !started) {
        log::error("a thread cannot serve", {{"reason", started.error().message}});
        failed_ = true;
        stopping.set();
    }
    log::info("working", {{"worker", id_},
                          {"url", ground_.door.url},
                          {"dataDir", ground_.data_dir},
                          {"memoryBudgetMb", options_.sandboxes.memory_budget_mb}});
    ground_.door.announce_port();
    [[maybe_unused]] const auto told = manager_.ready("waiting for jobs");
    [[maybe_unused]] const auto stopped = co_await stopping.wait();
    tasks.spawn(extend_stop(manager_, after(options_.fleet.grace + last_settling_wait)));
    co_await shut_down(jobs, host.drain_until(options_.fleet.grace));
    beating.request_stop();
    co_await beating.join();
    if (auto left = co_await heartbeat_->leave(after(goodbye_wait)); !left) {
        log::info("the controller does not hear the goodbye and will miss this worker",
                  {{"reason", left.error().message}});
    }
    co_await host.let_go();
    co_await front_->drain(after(goodbye_wait));
    co_await serving.join();
    co_await archives_->finish();
    tasks.request_stop();
    co_await tasks.join();
    co_await services_->stop();
    front_->join();
    log::info("stopped", {{"worker", id_}});
    co_return failed_ ? 1 : 0;
}

// No new jobs; those that run may finish within the grace, and are ended after it. What did not
// succeed goes back to the queue at once, for other workers.
task<void> worker_server::shut_down(scope& jobs, deadline grace) {
    draining_ = true;
    log::info("draining", {{"worker", id_},
                           {"graceSeconds", options_.fleet.grace.count()},
                           {"busy", worker_->dispatch().busy()}});
    [[maybe_unused]] const auto told = manager_.stopping("draining");
    intake_->stop_receiving();
    if (lane_) {
        lane_->refuse_new();
    }
    [[maybe_unused]] const auto heard =
        co_await heartbeat_->beat(std::min(grace, after(goodbye_wait)));
    co_await worker_->drain(grace);
    if (lane_) {
        co_await lane_->finish(after(goodbye_wait));
    }
    co_await jobs.join();
    co_await services_->finish_receiving(grace);
}

task<void> worker_server::watch_sandboxd(event& stopping) {
    if (co_await worker_->lost().wait()) {
        log::error("hearth-sandboxd is gone: no function can run here any more");
        failed_ = true;
        stopping.set();
    }
}

// A line for `systemctl status`, with each heartbeat.
task<void> worker_server::show_status() {
    constexpr seconds pause{10};
    while (manager_.present() && co_await sleep_until(after(pause))) {
        const auto& running = worker_->dispatch();
        const auto done = intake_->statistics();
        [[maybe_unused]] const auto told = manager_.status(
            concat(running.busy(), " jobs run, ", running.idle(), " sandboxes are idle, ",
                   done.succeeded, " jobs succeeded, ", done.dead + done.failed, " failed"));
    }
}

faas::worker_report worker_server::report() const {
    const auto& running = worker_->dispatch();
    return {.id = id_,
            .host = host_,
            .version = HEARTH_VERSION,
            .draining = draining_,
            .sandboxes_max = static_cast<std::int64_t>(options_.sandboxes.slots),
            .sandboxes_busy = static_cast<std::int64_t>(running.busy()),
            .sandboxes_idle = static_cast<std::int64_t>(running.idle()),
            .calls_waiting = static_cast<std::int64_t>(running.waiting()),
            .memory_budget_mb = options_.sandboxes.memory_budget_mb,
            .memory_reserved_mb = running.memory_used_mb(),
            .warm_functions = running.warm_functions(faas::warm_functions_max)};
}

task<std::string> worker_server::metrics_text() {
    worker_->refresh_gauges();
    co_await front_->measure(ring_gauges_);
    ring_gauges_.set_job_events(intake_->statistics());
    services_->refresh_gauges(registry_);
    fleet_gauges gauges(registry_);
    gauges.set_heartbeats(heartbeat_->counts());
    if (lane_) {
        gauges.set_lane_records(lane_recorder_->statistics());
    }
    co_return prometheus::TextSerializer().Serialize(registry_.Collect());
}

std::string worker_server::unhealthy() {
    if (worker_->lost().is_set()) {
        return "hearth-sandboxd is gone";
    }
    if (draining_) {
        return "draining";
    }
    // Open to all: what a service said is in the log.
    return intake_->trouble().empty() ? "" : "no jobs come; the log says why";
}

// An empty heartbeat: a controller answers 401 for the token, or else 400 for what it lacks.
task<result<>> ask_controller(http::client& web, const worker_program_options& options,
                              deadline until) {
    auto got = co_await web.send(
        {.method = "POST",
         .url = concat(options.controller_url, "/api/worker/heartbeat"),
         .headers = {{"authorization", concat("Bearer ", options.fleet.worker_token)},
                     {"content-type", "application/json"}},
         .body = "{}"},
        until);
    if (!got) {
        co_return propagate(got);
    }
    if (got->status == 401) {
        co_return fail(errc::permission_denied,
                       "it does not know this WORKER_TOKEN; set the same on both");
    }
    if (got->status != 400) {
        co_return fail(errc::protocol,
                       concat("it answered ", got->status, "; is CONTROLLER_URL a controller's?"));
    }
    co_return result<>{};
}

task<result<>> ask_for_lane(std::shared_ptr<thread_pool> lookups,
                            const worker_program_options& options, deadline until) {
    auto trusted = lane_trust(options);
    if (!trusted) {
        co_return propagate(trusted);
    }
    co_return co_await worker::try_lane(*lookups, *options.lane, std::move(*trusted),
                                        options.fleet.worker_token, until);
}

}  // namespace

service_probe lane_probe(const worker_program_options& options) {
    constexpr std::size_t lookups_max = 4;
    return {
        .service = "lane",
        .target = worker::to_text(*options.lane),
        .needs = "WORKER_TOKEN",
        .ask = [lookups = std::make_shared<thread_pool>(1, lookups_max), &options](deadline until) {
            return ask_for_lane(lookups, options, until);
        }};
}

service_probe controller_probe(http::client& web, const worker_program_options& options) {
    return {.service = "controller",
            .target = options.controller_url,
            .needs = "WORKER_TOKEN",
            .ask = [&web, &options](deadline until) {
                return ask_controller(web, options, until);
            }};
}

result<int> run_worker(const worker_program_options& options, const service_manager& manager) {
    auto ground = lay_groundwork({.name = "worker",
                                  .data_dir = options.data_dir,
                                  .folders = {"unpacked"},
                                  .door = options.fleet.door,
                                  .sandboxes = options.sandboxes});
    if (!ground) {
        return propagate(ground);
    }
    return serve_on_ring<worker_server>(options, manager, *ground);
}

}  // namespace hearth
