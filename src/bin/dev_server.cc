#include "dev_server.h"

#include <csignal>
#include <memory>

#include <prometheus/gauge.h>
#include <prometheus/text_serializer.h>

#include "base/ids.h"
#include "base/log.h"
#include "ctrl/api.h"
#include "ctrl/code_sweep.h"
#include "ctrl/http_metrics.h"
#include "embedded/code_store.h"
#include "embedded/database.h"
#include "embedded/function_table.h"
#include "embedded/invocation_log.h"
#include "embedded/job_queue.h"
#include "embedded/rate_limiter.h"
#include "embedded/recovery.h"
#include "embedded/result_bus.h"
#include "faas/confined_intake.h"
#include "groundwork.h"
#include "http_front.h"
#include "local_lane.h"
#include "ring_gauges.h"
#include "worker/intake.h"
#include "worker/worker.h"

namespace hearth {
namespace {

constexpr seconds start_wait{20};            // for recovery
constexpr std::size_t blocking_threads = 4;  // uploads, files
constexpr std::size_t blocking_queue_max = 1000;
constexpr std::chrono::hours record_ttl{7 * 24};
constexpr std::chrono::hours expire_interval{1};
constexpr seconds expire_wait{20};  // one pass; then others get their turn
constexpr seconds expire_pause{1};
constexpr seconds last_answer_wait{3};  // after the grace, for the answers of ended calls

// Everything that `hearth dev` has, wired together.
class dev_server {
public:
    dev_server(const dev_options& options, groundwork& ground, uring::ring& home);

    result<> open();
    task<int> run();

private:
    task<result<>> recover();
    task<void> watch_worker(event& stopping);
    task<void> expire_records();
    task<void> shut_down();
    task<void> drain_connections(deadline until, event& answered);
    task<std::string> metrics_text();
    std::string unhealthy();
    void announce();

    const dev_options& options_;
    groundwork& ground_;
    uring::ring& home_;

    prometheus::Registry registry_;
    thread_pool blocking_{blocking_threads, blocking_queue_max};
    std::unique_ptr<embedded::database> database_;
    std::unique_ptr<embedded::function_table> functions_;
    std::unique_ptr<embedded::job_queue> queue_;
    std::unique_ptr<embedded::invocation_log> log_;
    std::unique_ptr<embedded::code_store> store_;
    std::unique_ptr<faas::confined_intake> archives_;
    embedded::result_bus results_;
    embedded::rate_limiter limiter_;
    std::unique_ptr<worker::worker> worker_;
    std::unique_ptr<local_lane> lane_;
    std::unique_ptr<worker::job_intake> intake_;
    std::unique_ptr<ctrl::registry> known_;
    std::unique_ptr<ctrl::calls> calls_;
    ctrl::api_key key_;
    ctrl::failed_attempts failures_;
    std::unique_ptr<ctrl::api> api_;
    ctrl::http_metrics http_metrics_{registry_};
    ring_gauges ring_gauges_{registry_};
    http::router routes_;
    std::unique_ptr<http_front> front_;
    bool draining_ = false;
    bool failed_ = false;
};

dev_server::dev_server(const dev_options& options, groundwork& ground, uring::ring& home)
    : options_(options),
      ground_(ground),
      home_(home),
      limiter_({.limit = options.rate_limit_per_minute}),
      key_(options.api_key),
      failures_(options.rate_limit_per_minute > 0) {}

result<> dev_server::open() {
    auto database = embedded::database::open(ground_.data_dir + "/hearth.db");
    if (!database) {
        return propagate(database);
    }
    database_ = std::move(*database);
    auto store = embedded::code_store::open(ground_.data_dir + "/code", blocking_);
    if (!store) {
        return propagate(store);
    }
    store_ = std::move(*store);
    auto archives = faas::confined_intake::create(std::move(ground_.unpacker), blocking_);
    if (!archives) {
        return propagate(archives);
    }
    archives_ = std::move(*archives);
    functions_ = std::make_unique<embedded::function_table>(*database_);
    queue_ = std::make_unique<embedded::job_queue>(*database_);
    log_ = std::make_unique<embedded::invocation_log>(*database_);
    auto made = worker::worker::create(home_, std::move(ground_.sandboxes), *store_, *archives_,
                                       blocking_, registry_,
                                       {.dispatch = dispatcher_options_of(options_.sandboxes),
                                        .code_folder = ground_.data_dir + "/unpacked"});
    if (!made) {
        return propagate(made);
    }
    worker_ = std::move(*made);
    lane_ = std::make_unique<local_lane>(*worker_, blocking_);
    known_ = std::make_unique<ctrl::registry>(*functions_, *store_, lane_->invoker(), *archives_);
    calls_ = std::make_unique<ctrl::calls>(lane_->invoker(), *log_, *queue_);
    intake_ = std::make_unique<worker::job_intake>(
        *queue_, *functions_, *log_, results_, *worker_,
        worker::intake_options{.concurrency = options_.job_concurrency});
    api_ = std::make_unique<ctrl::api>(
        ctrl::api::parts{.home = home_,
                         .functions = *known_,
                         .running = *calls_,
                         .limiter = limiter_,
                         .blocking = blocking_,
                         .key = key_,
                         .failures = failures_,
                         .make_job_id = make_uuid,
                         .metrics_text = [this] { return metrics_text(); },
                         .unhealthy =
                             [this] {
                                 return unhealthy();
                             }},
        ctrl::api_options{.temporary_folder = ground_.data_dir});
    api_->add_routes(routes_);
    front_ = std::make_unique<http_front>(home_, ground_.door, routes_, http_metrics_);
    return {};
}

task<result<>> dev_server::recover() {
    auto recovered = co_await embedded::recover(*database_, wall_clock_ms(), after(start_wait));
    if (!recovered) {
        co_return propagate(recovered);
    }
    if (recovered->redelivered + recovered->completed + recovered->lost > 0) {
        log::info("recovered after an unclean end", {{"redelivered", recovered->redelivered},
                                                     {"completed", recovered->completed},
                                                     {"lost", recovered->lost}});
    }
    // No upload is possible yet, and nothing runs: whatever no function uses can go.
    ctrl::code_sweep sweep(*functions_, *store_, {.grace = milliseconds(0), .looks = 1});
    if (auto collected = co_await sweep.sweep(after(start_wait)); !collected) {
        log::warning("unused code stays until the next start",
                     {{"reason", collected.error().message}});
    }
    co_return result<>{};
}

task<int> dev_server::run() {
    auto begun = co_await recover();
    if (begun) {
        begun = co_await lane_->open();
    }
    if (!begun) {
        log::error("start failed", {{"reason", begun.error().message}});
        co_await lane_->finish();
        co_await worker_->drain(steady_clock::now());
        co_return 1;
    }
    event stopping;
    scope tasks;
    scope jobs;
    tasks.spawn(watch_signals(ground_.signals, *front_, stopping));
    tasks.spawn(watch_worker(stopping));
    tasks.spawn(expire_records());
    jobs.spawn(intake_->run());
    if (auto serving = co_await front_->start(jobs); !serving) {
        log::error("a thread cannot serve", {{"reason", serving.error().message}});
        failed_ = true;
        stopping.set();
    }
    announce();
    [[maybe_unused]] const auto stopped = co_await stopping.wait();
    co_await shut_down();
    co_await jobs.join();
    co_await calls_->finish();
    co_await lane_->finish();
    co_await archives_->finish();
    tasks.request_stop();
    co_await tasks.join();
    front_->join();
    log::info("stopped");
    co_return failed_ ? 1 : 0;
}

void dev_server::announce() {
    log::info("listening", {{"url", ground_.door.url},
                            {"dataDir", ground_.data_dir},
                            {"threads", options_.entrance.threads},
                            {"memoryBudgetMb", options_.sandboxes.memory_budget_mb}});
    ground_.door.announce_port();
}

// In the order in which work flows: no new requests and jobs, then the calls, then the sandboxes.
// What still runs when the grace is over is ended, and its callers hear so before they are cut off.
task<void> dev_server::shut_down() {
    draining_ = true;
    const deadline grace = after(options_.grace);
    log::info("draining", {{"graceSeconds", options_.grace.count()}, {"calls", calls_->live()}});
    intake_->stop_receiving();
    event answered;
    scope connections;
    connections.spawn(drain_connections(grace + last_answer_wait, answered));
    [[maybe_unused]] const auto all = co_await answered.wait(grace);
    co_await worker_->drain(grace);
    co_await connections.join();
}

task<void> dev_server::drain_connections(deadline until, event& answered) {
    co_await front_->drain(until);
    answered.set();
}

task<void> dev_server::watch_worker(event& stopping) {
    if (co_await worker_->lost().wait()) {
        failed_ = true;
        stopping.set();
    }
}

task<void> dev_server::expire_records() {
    for (bool more = true; more;) {
        const epoch_ms before =
            wall_clock_ms() - std::chrono::duration_cast<milliseconds>(record_ttl).count();
        auto expired = co_await log_->expire(before, after(expire_wait));
        if (!expired) {
            log::warning("old records stay", {{"reason", expired.error().message}});
        }
        const bool unfinished = expired && *expired > 0;
        const auto slept =
            co_await sleep_until(after(unfinished ? nanoseconds(expire_pause) : expire_interval));
        more = slept.has_value();
    }
}

task<std::string> dev_server::metrics_text() {
    worker_->refresh_gauges();
    co_await front_->measure(ring_gauges_);
    auto depth = co_await queue_->measure(after(start_wait));
    ring_gauges_.set_jobs(depth ? *depth : faas::job_queue::depth{}, intake_->statistics());
    ring_gauges_.set_calls(calls_->statistics(), calls_->live());
    ring_gauges_.set_lanes(lane_->hub(), lane_->statistics());
    co_return prometheus::TextSerializer().Serialize(registry_.Collect());
}

std::string dev_server::unhealthy() {
    if (worker_->lost().is_set()) {
        return "hearth-sandboxd is gone";
    }
    return draining_ ? "draining" : "";
}

}  // namespace

result<int> run_dev_server(dev_options options) {
    if (auto complete = complete_dev_options(options); !complete) {
        return propagate(complete);
    }
    // Whoever reads the log may leave; a lost line is no reason to end.
    ::signal(SIGPIPE, SIG_IGN);
    auto ground = lay_groundwork({.name = "dev",
                                  .data_dir = options.data_dir,
                                  .folders = {"code", "unpacked"},
                                  .door = options.entrance,
                                  .sandboxes = options.sandboxes});
    if (!ground) {
        return propagate(ground);
    }
    return serve_on_ring<dev_server>(options, *ground);
}

}  // namespace hearth
