#include "dev_server.h"

#include <csignal>
#include <filesystem>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <prometheus/gauge.h>
#include <prometheus/text_serializer.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/log.h"
#include "coro/when_all.h"
#include "ctrl/api.h"
#include "ctrl/http_metrics.h"
#include "embedded/code_store.h"
#include "embedded/database.h"
#include "embedded/function_table.h"
#include "embedded/invocation_log.h"
#include "embedded/job_queue.h"
#include "embedded/rate_limiter.h"
#include "embedded/recovery.h"
#include "embedded/result_bus.h"
#include "installation.h"
#include "net/address.h"
#include "privileges.h"
#include "ring_gauges.h"
#include "shard.h"
#include "uring/signals.h"
#include "worker/intake.h"
#include "worker/worker.h"

namespace hearth {
namespace {

constexpr seconds start_wait{20};            // for hearth-sandboxd and for recovery
constexpr std::size_t blocking_threads = 4;  // uploads, unpacking
constexpr std::size_t blocking_queue_max = 1000;
constexpr std::chrono::hours record_ttl{7 * 24};
constexpr std::chrono::hours expire_interval{1};

// What must be done before privileges are dropped and threads exist.
struct groundwork {
    unique_fd data_lock;
    unique_fd port_file;
    std::vector<unique_fd> listening;
    std::uint16_t port = 0;
    std::shared_ptr<const net::tls_context> tls;
    sandbox::client sandboxes;
    uring::signal_watch signals;
};

result<unique_fd> lock_data_folder(const std::string& folder) {
    unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
        return fail_errno(concat("cannot open ", folder));
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(errc::conflict, concat("another Hearth uses the data folder ", folder,
                                           ". Stop it, or choose another --data-dir"));
    }
    return fd;
}

// The same folder has the same name after a restart, so that what a killed process left is found.
std::string instance_name(int data_folder) {
    struct stat status{};
    ::fstat(data_folder, &status);
    return concat("dev-", status.st_dev, "-", status.st_ino);
}

result<> open_listeners(const dev_options& options, groundwork& ground) {
    ground.port = options.port;
    for (std::size_t i = 0; i < options.threads; ++i) {
        const bool v6 = options.listen.contains(':');
        const std::string where =
            concat(v6 ? "[" : "", options.listen, v6 ? "]:" : ":", ground.port);
        auto fd = net::open_listening_socket(where);
        if (!fd) {
            return propagate(fd);
        }
        ground.port = net::local_port(fd->get());
        ground.listening.push_back(std::move(*fd));
    }
    return {};
}

result<unique_fd> open_port_file(const std::string& path) {
    if (path.empty()) {
        return unique_fd();
    }
    unique_fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) {
        return fail_errno(concat("cannot write --port-file ", path));
    }
    return fd;
}

// The ring's gauges, the domain's counters and the text of /metrics.
class dev_server {
public:
    dev_server(const dev_options& options, groundwork& ground, uring::ring& home);

    result<> open();
    task<int> run();

private:
    task<result<>> recover();
    task<void> watch_signals(event& stopping);
    task<void> watch_worker(event& stopping);
    task<void> expire_records();
    task<void> shut_down();
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
    embedded::result_bus results_;
    embedded::rate_limiter limiter_;
    std::unique_ptr<worker::worker> worker_;
    std::unique_ptr<worker::job_intake> intake_;
    std::unique_ptr<ctrl::registry> known_;
    std::unique_ptr<ctrl::calls> calls_;
    ctrl::api_key key_;
    std::unique_ptr<ctrl::api> api_;
    ctrl::http_metrics http_metrics_{registry_};
    ring_gauges ring_gauges_{registry_};
    http::router routes_;
    std::vector<std::unique_ptr<shard>> shards_;
    std::vector<std::unique_ptr<shard_thread>> threads_;
    bool draining_ = false;
    bool failed_ = false;
};

dev_server::dev_server(const dev_options& options, groundwork& ground, uring::ring& home)
    : options_(options),
      ground_(ground),
      home_(home),
      limiter_({.limit = options.rate_limit_per_minute}),
      key_(options.api_key) {}

result<> dev_server::open() {
    auto database = embedded::database::open(options_.data_dir + "/hearth.db");
    if (!database) {
        return propagate(database);
    }
    database_ = std::move(*database);
    auto store = embedded::code_store::open(options_.data_dir + "/code", blocking_);
    if (!store) {
        return propagate(store);
    }
    store_ = std::move(*store);
    functions_ = std::make_unique<embedded::function_table>(*database_);
    queue_ = std::make_unique<embedded::job_queue>(*database_);
    log_ = std::make_unique<embedded::invocation_log>(*database_);
    auto made =
        worker::worker::create(home_, std::move(ground_.sandboxes), *store_, blocking_, registry_,
                               {.dispatch = {.memory_budget_mb = options_.memory_budget_mb,
                                             .concurrency_max = options_.concurrency_max,
                                             .idle_ttl = options_.idle_ttl},
                                .code_folder = options_.data_dir + "/unpacked"});
    if (!made) {
        return propagate(made);
    }
    worker_ = std::move(*made);
    known_ = std::make_unique<ctrl::registry>(*functions_, *store_, *worker_, blocking_);
    calls_ = std::make_unique<ctrl::calls>(*worker_, *log_, *queue_);
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
                         .metrics_text = [this] { return metrics_text(); },
                         .unhealthy =
                             [this] {
                                 return unhealthy();
                             }},
        ctrl::api_options{.temporary_folder = options_.data_dir});
    api_->add_routes(routes_);
    for (unique_fd& each : ground_.listening) {
        shards_.push_back(std::make_unique<shard>(
            std::move(each), routes_, http::server_options{.tls = ground_.tls}, http_metrics_));
    }
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
    auto collected = co_await known_->collect_garbage(after(start_wait));
    if (!collected) {
        co_return propagate(collected);
    }
    co_return result<>{};
}

task<int> dev_server::run() {
    if (auto recovered = co_await recover(); !recovered) {
        log::error("start failed", {{"reason", recovered.error().message}});
        co_await worker_->drain(steady_clock::now());
        co_return 1;
    }
    event stopping;
    scope tasks;
    scope jobs;
    tasks.spawn(watch_signals(stopping));
    tasks.spawn(watch_worker(stopping));
    tasks.spawn(expire_records());
    jobs.spawn(intake_->run());
    jobs.spawn(shards_.front()->serve(home_));
    for (std::size_t i = 1; i < shards_.size(); ++i) {
        auto thread = shard_thread::start(*shards_[i]);
        if (!thread) {
            log::error("a thread cannot serve", {{"reason", thread.error().message}});
            failed_ = true;
            stopping.set();
            shards_.resize(i);
            break;
        }
        threads_.push_back(std::move(*thread));
    }
    co_await sleep_until(steady_clock::now());  // the first shard has begun
    announce();
    [[maybe_unused]] const auto stopped = co_await stopping.wait();
    co_await shut_down();
    co_await jobs.join();
    co_await calls_->finish();
    tasks.request_stop();
    co_await tasks.join();
    for (auto& each : threads_) {
        each->join();
    }
    log::info("stopped");
    co_return failed_ ? 1 : 0;
}

void dev_server::announce() {
    const bool v6 = options_.listen.contains(':');
    const std::string url = concat(ground_.tls ? "https" : "http", "://", v6 ? "[" : "",
                                   options_.listen, v6 ? "]:" : ":", ground_.port);
    log::info("listening", {{"url", url},
                            {"dataDir", options_.data_dir},
                            {"threads", options_.threads},
                            {"memoryBudgetMb", options_.memory_budget_mb}});
    if (ground_.port_file) {
        const std::string line = concat(ground_.port, "\n");
        if (::write(ground_.port_file.get(), line.data(), line.size()) < 0) {
            log::warning("the port file cannot be written", {{"port", ground_.port}});
        }
    }
}

// In the order in which work flows: no new requests and jobs, then the calls, then the sandboxes.
task<void> dev_server::shut_down() {
    draining_ = true;
    const deadline grace = after(options_.grace);
    log::info("draining", {{"graceSeconds", options_.grace.count()}, {"calls", calls_->live()}});
    intake_->stop_receiving();
    std::vector<task<bool>> drains;
    for (auto& each : shards_) {
        drains.push_back(each->drain(grace));
    }
    co_await when_all(std::move(drains));
    co_await worker_->drain(grace);
}

task<void> dev_server::watch_signals(event& stopping) {
    for (;;) {
        auto signal = co_await ground_.signals.next(never);
        if (!signal) {
            co_return;
        }
        if (*signal == SIGUSR1) {
            log::info("tasks", {{"tree", home_.dump_tasks()}});
        } else if (!stopping.is_set()) {
            stopping.set();
        } else if (*signal == SIGINT) {
            log::warning("interrupted again: leaving at once");
            ::_exit(128 + SIGINT);  // hearth-sandboxd cleans up behind us
        }
    }
}

task<void> dev_server::watch_worker(event& stopping) {
    if (co_await worker_->lost().wait()) {
        failed_ = true;
        stopping.set();
    }
}

task<void> dev_server::expire_records() {
    do {
        const epoch_ms before =
            wall_clock_ms() - std::chrono::duration_cast<milliseconds>(record_ttl).count();
        if (auto expired = co_await log_->expire(before, after(start_wait)); !expired) {
            log::warning("old records stay", {{"reason", expired.error().message}});
        }
    } while (co_await sleep_until(after(expire_interval)));
}

task<std::string> dev_server::metrics_text() {
    worker_->refresh_gauges();
    ring_gauges_.begin();
    for (auto& each : shards_) {
        ring_gauges_.add(co_await each->measure());
        if (draining_) {
            break;  // the other threads may have ended; the first is this one
        }
    }
    auto depth = co_await queue_->measure(after(start_wait));
    ring_gauges_.set_jobs(depth ? *depth : faas::job_queue::depth{}, intake_->statistics());
    ring_gauges_.set_calls(calls_->statistics(), calls_->live());
    co_return prometheus::TextSerializer().Serialize(registry_.Collect());
}

std::string dev_server::unhealthy() {
    if (worker_->lost().is_set()) {
        return "hearth-sandboxd is gone";
    }
    return draining_ ? "draining" : "";
}

result<groundwork> lay_groundwork(dev_options& options) {
    auto installed = find_installation();
    if (!installed) {
        return propagate(installed);
    }
    // Sandboxes read the unpacked code under ids of their own; what is private is in a 0700 folder.
    ::umask(S_IWGRP | S_IWOTH);
    const service_user user = find_service_user();
    for (const char* folder : {"", "/code", "/unpacked"}) {
        if (auto ready = prepare_folder(options.data_dir + folder, user); !ready) {
            return propagate(ready);
        }
    }
    options.data_dir = std::filesystem::canonical(options.data_dir);
    auto lock = lock_data_folder(options.data_dir);
    if (!lock) {
        return propagate(lock);
    }
    std::shared_ptr<const net::tls_context> tls;
    if (!options.tls_certificate.empty()) {
        auto made = net::tls_context::for_server(options.tls_certificate, options.tls_key);
        if (!made) {
            return propagate(made);
        }
        tls = std::move(*made);
    }
    auto port_file = open_port_file(options.port_file);
    if (!port_file) {
        return propagate(port_file);
    }
    auto sandboxes = sandbox::client::launch({.program = installed->sandboxd,
                                              .instance = instance_name(lock->get()),
                                              .runtime_dir = installed->python_runtime,
                                              .parked = options.parked,
                                              .zygote = options.zygote == "on",
                                              .allow_no_limits = options.allow_no_limits},
                                             after(start_wait));
    if (!sandboxes) {
        return propagate(sandboxes);
    }
    auto signals = uring::signal_watch::create({SIGTERM, SIGINT, SIGUSR1});
    if (!signals) {
        return propagate(signals);
    }
    groundwork ground{.data_lock = std::move(*lock),
                      .port_file = std::move(*port_file),
                      .tls = std::move(tls),
                      .sandboxes = std::move(*sandboxes),
                      .signals = std::move(*signals)};
    if (auto listening = open_listeners(options, ground); !listening) {
        return propagate(listening);
    }
    if (auto dropped = drop_privileges(user); !dropped) {
        return propagate(dropped);
    }
    return ground;
}

}  // namespace

result<int> run_dev_server(dev_options options) {
    if (auto complete = complete_dev_options(options); !complete) {
        return propagate(complete);
    }
    auto ground = lay_groundwork(options);
    if (!ground) {
        return propagate(ground);
    }
    auto ring = uring::ring::create();
    if (!ring) {
        return propagate(ring);
    }
    dev_server server(options, *ground, **ring);
    if (auto opened = server.open(); !opened) {
        return propagate(opened);
    }
    return (*ring)->run(server.run());
}

}  // namespace hearth
