#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "base/concat.h"
#include "bench/micro/ring_fixture.h"
#include "coro/event.h"
#include "ctrl/lane_hub.h"
#include "ctrl/lane_invoker.h"
#include "net/listener.h"
#include "net/memory_stream.h"
#include "net/socket_stream.h"
#include "worker/lane_client.h"

// Calls over a lane by TCP, the worker in a thread of its own with an invoker that answers at once:
// what the lane costs and nothing else. `enters` counts io_uring_enter of both ends per call, which
// are all system calls that a call causes.

namespace hearth {
namespace {

constexpr const char* token = "token";
constexpr std::uint32_t credits = 16;

class instant_invoker final : public faas::invoker {
public:
    task<result<faas::outcome>> invoke(const faas::invocation& call, deadline) override {
        if (call.watcher != nullptr) {
            call.watcher->on_started();
        }
        faas::outcome end;
        end.status = faas::invocation_status::succeeded;
        end.result_json = call.event;
        co_return end;
    }
    void retire(std::string_view, std::int64_t) override {}
};

// Takes a millisecond, as a function might.
class brief_invoker final : public faas::invoker {
public:
    task<result<faas::outcome>> invoke(const faas::invocation& call, deadline) override {
        call.watcher->on_started();
        std::ignore = co_await sleep_until(after(milliseconds(1)));
        faas::outcome end;
        end.status = faas::invocation_status::succeeded;
        co_return end;
    }
    void retire(std::string_view, std::int64_t) override {}
};

class idle_host final : public worker::lane_host {
public:
    std::uint32_t window() override { return credits; }
    std::uint32_t idle_of(const faas::function&) override { return 1; }
    std::vector<worker::idle_sandboxes> idle_by_revision() override { return {}; }
    faas::worker_report report() override { return {.id = "worker-1", .host = "h"}; }
};

// The worker's thread.
template <class Invoker>
class remote_worker {
public:
    explicit remote_worker(std::uint16_t port) : port_(port), thread_([this] { main(); }) {}
    // Once the controller has ended.
    std::uint64_t join() {
        thread_.join();
        return enters_;
    }

private:
    void main() {
        auto loop = uring::ring::create();
        HEARTH_CHECK(loop, "no ring");
        (*loop)->run(serve(port_));
        enters_ = (*loop)->statistics().enters;
    }
    static task<void> serve(std::uint16_t port) {
        thread_pool lookups(1, 1);
        Invoker invoker;
        idle_host host;
        worker::lane_client client(
            invoker, host, lookups,
            {.controller = {.host = "127.0.0.1", .port = port}, .token = token, .worker_id = "w"});
        auto link = co_await net::connect_stream(concat("127.0.0.1:", port), after(seconds(5)));
        co_await client.serve(std::move(*link));
        co_await client.finish(after(seconds(5)));
    }

    std::uint16_t port_;
    std::uint64_t enters_ = 0;
    std::thread thread_;
};

task<> call_again(ctrl::lane_invoker& invoker, const faas::invocation& asked, std::int64_t& left,
                  std::vector<double>& took_us) {
    while (left > 0) {
        --left;
        const steady_time began = steady_clock::now();
        auto end = co_await invoker.invoke(asked, after(seconds(30)));
        HEARTH_CHECK(end, "the call did not come back");
        took_us.push_back(
            std::chrono::duration<double, std::micro>(steady_clock::now() - began).count());
    }
}

// range(0) clients, range(1) bytes each way.
task<> lane_calls(benchmark::State& state) {
    net::listener listening(net::open_listening_socket("127.0.0.1:0").value());
    ctrl::lane_hub hub({.token = token}, [](faas::worker_report) {}, [](const std::string&) {});
    instant_invoker otherwise;
    ctrl::lane_invoker invoker(hub, otherwise);
    scope accepting;
    accepting.spawn(hub.serve(listening, nullptr));
    remote_worker<instant_invoker> worker(listening.port());
    while (hub.scheduler().credits() == 0) {
        std::ignore = co_await sleep_until(after(milliseconds(1)));
    }
    auto target = std::make_shared<faas::function>();
    target->id = "function-1";
    const faas::invocation asked{
        .job_id = "0190b3a0-0000-7000-8000-000000000000",
        .request_id = "0190b3a0-0000-7000-8000-000000000001",
        .target = target,
        .event = concat('"', std::string(static_cast<std::size_t>(state.range(1)), 'x'), '"')};
    const std::uint64_t before = uring::ring::current().statistics().enters;
    std::int64_t calls = 0;
    std::vector<double> took_us;
    for (auto _ : state) {
        constexpr std::int64_t batch = 64;
        std::int64_t left = batch * state.range(0);
        calls += left;
        scope clients;
        for (std::int64_t i = 0; i < state.range(0); ++i) {
            clients.spawn(call_again(invoker, asked, left, took_us));
        }
        co_await clients.join();
    }
    const std::uint64_t ours = uring::ring::current().statistics().enters - before;
    accepting.request_stop();
    co_await listening.close();
    co_await accepting.join();
    co_await hub.finish();
    const std::uint64_t theirs = worker.join();
    const auto total = static_cast<double>(calls);
    state.SetItemsProcessed(calls);
    std::ranges::sort(took_us);
    state.counters["p50_us"] = took_us[took_us.size() / 2];
    state.counters["p99_us"] = took_us[took_us.size() * 99 / 100];
    state.counters["enters_controller"] = static_cast<double>(ours) / total;
    state.counters["enters_worker"] = static_cast<double>(theirs) / total;
    HEARTH_CHECK(invoker.statistics().fell_back == 0, "every call went over the lane");
}
// What one client of a function sees while range(0) clients call another without end, all over one
// lane of 16 credits.
task<> lane_flood(benchmark::State& state) {
    net::listener listening(net::open_listening_socket("127.0.0.1:0").value());
    ctrl::lane_hub hub({.token = token}, [](faas::worker_report) {}, [](const std::string&) {});
    instant_invoker otherwise;
    ctrl::lane_invoker invoker(hub, otherwise);
    scope accepting;
    accepting.spawn(hub.serve(listening, nullptr));
    remote_worker<brief_invoker> worker(listening.port());
    while (hub.scheduler().credits() == 0) {
        std::ignore = co_await sleep_until(after(milliseconds(1)));
    }
    const auto asked_of = [](std::string id) {
        auto target = std::make_shared<faas::function>();
        target->id = std::move(id);
        return faas::invocation{.job_id = "job", .request_id = "request", .target = target};
    };
    const faas::invocation flooding = asked_of("flood");
    const faas::invocation asked = asked_of("other");
    std::vector<double> flood_us;
    std::vector<double> took_us;
    std::int64_t flood_left = state.range(0) > 0 ? std::numeric_limits<std::int64_t>::max() : 0;
    scope flood;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        flood.spawn(call_again(invoker, flooding, flood_left, flood_us));
    }
    for (auto _ : state) {
        std::int64_t left = 100;
        co_await call_again(invoker, asked, left, took_us);
    }
    flood_left = 0;
    co_await flood.join();
    accepting.request_stop();
    co_await listening.close();
    co_await accepting.join();
    co_await hub.finish();
    std::ignore = worker.join();
    std::ranges::sort(took_us);
    state.counters["p50_us"] = took_us[took_us.size() / 2];
    state.counters["p99_us"] = took_us[took_us.size() * 99 / 100];
    state.counters["flood_calls"] = static_cast<double>(flood_us.size());
}
void lane_fairness(benchmark::State& state) {
    bench::on_ring(state, lane_flood);
}
BENCHMARK(lane_fairness)->Arg(0)->Arg(64)->UseRealTime();

task<> serve_pair(worker::lane_client& client, std::unique_ptr<net::stream> end) {
    co_await client.serve(std::move(end));
}

enum class pair_of : std::int64_t { nothing, memory, sockets };
using both_ends = std::pair<std::unique_ptr<net::stream>, std::unique_ptr<net::stream>>;

both_ends make_ends(pair_of kind) {
    if (kind != pair_of::sockets) {
        return net::memory_stream::make_pair("local");
    }
    std::array<int, 2> fds{};
    HEARTH_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0,
                 "socketpair failed");
    return {std::make_unique<net::socket_stream>(unique_fd(fds[0]), "controller"),
            std::make_unique<net::socket_stream>(unique_fd(fds[1]), "worker")};
}

// Both ends in one loop, as `hearth dev` has them, over memory as there or over sockets, beside the
// call without a lane.
task<> pair_calls(benchmark::State& state) {
    const auto kind = static_cast<pair_of>(state.range(0));
    ctrl::lane_hub hub({.token = token}, [](faas::worker_report) {}, [](const std::string&) {});
    instant_invoker direct;
    ctrl::lane_invoker over_lane(hub, direct);
    thread_pool lookups(1, 1);
    idle_host host;
    worker::lane_client client(direct, host, lookups, {.token = token, .worker_id = "w"});
    scope serving;
    auto [ours, theirs] = make_ends(kind);
    hub.take(std::move(ours));
    serving.spawn(serve_pair(client, std::move(theirs)));
    while (hub.scheduler().credits() == 0) {
        std::ignore = co_await sleep_until(after(milliseconds(1)));
    }
    auto target = std::make_shared<faas::function>();
    target->id = "function-1";
    const faas::invocation asked{
        .job_id = "job", .request_id = "request", .target = target, .event = std::string(100, '1')};
    faas::invoker& invoker =
        kind == pair_of::nothing ? static_cast<faas::invoker&>(direct) : over_lane;
    const std::uint64_t before = uring::ring::current().statistics().enters;
    for (auto _ : state) {
        auto end = co_await invoker.invoke(asked, never);
        HEARTH_CHECK(end, "the call did not come back");
    }
    state.counters["enters"] =
        static_cast<double>(uring::ring::current().statistics().enters - before) /
        static_cast<double>(state.iterations());
    co_await client.finish(after(seconds(5)));
    co_await serving.join();
    co_await hub.finish();
}
void lane_pair(benchmark::State& state) {
    bench::on_ring(state, pair_calls);
}
BENCHMARK(lane_pair)
    ->Arg(std::to_underlying(pair_of::nothing))
    ->Arg(std::to_underlying(pair_of::memory))
    ->Arg(std::to_underlying(pair_of::sockets))
    ->UseRealTime();

void lane_tcp(benchmark::State& state) {
    bench::on_ring(state, lane_calls);
}
BENCHMARK(lane_tcp)
    ->Args({1, 100})
    ->Args({16, 100})
    ->Args({1, 1 << 20})
    ->Args({4, 6'000'000})
    ->UseRealTime();

}  // namespace
}  // namespace hearth
