#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "ctrl/lane_hub.h"
#include "ctrl/lane_invoker.h"
#include "net/socket_stream.h"
#include "tests/support/sockets.h"
#include "tests/support/test_ring.h"
#include "tests/unit/worker/scripted_invoker.h"
#include "worker/lane_client.h"

namespace hearth::test {

// What a worker would tell.
class fixed_host final : public worker::lane_host {
public:
    std::uint32_t window() override { return credits; }
    std::uint32_t idle_of(const faas::function&) override { return idle_now; }
    std::vector<worker::idle_sandboxes> idle_by_revision() override { return idle; }
    faas::worker_report report() override {
        return {.id = id, .host = "host", .version = "0", .sandboxes_max = credits};
    }

    std::string id;
    std::uint32_t credits = 4;
    std::uint32_t idle_now = 0;
    std::vector<worker::idle_sandboxes> idle;
};

// A worker with its lane client; what its invoker does is the test's to say.
struct test_worker {
    test_worker(thread_pool& lookups, std::string id, worker::lane_client_options options)
        : client(invoker, named(id), lookups, with_id(std::move(options), id)) {}

    scripted_invoker invoker;
    fixed_host host;
    worker::lane_client client;

private:
    worker::lane_host& named(const std::string& id) {
        host.id = id;
        return host;
    }
    static worker::lane_client_options with_id(worker::lane_client_options options,
                                               const std::string& id) {
        options.worker_id = id;
        return options;
    }
};

// A controller's hub and invoker, and workers as many as a test wants, in one loop.
class lane_fixture : public ::testing::Test {
protected:
    static constexpr const char* token = "worker token";

    void SetUp() override { open_hub({}); }
    void open_hub(ctrl::lane_hub_options options, ctrl::lane_invoker_options how = {}) {
        options.token = token;
        end_hub();
        hub_ = std::make_unique<ctrl::lane_hub>(
            std::move(options),
            [this](faas::worker_report said) { reports_.push_back(std::move(said)); },
            [this](const std::string& id) { left_.push_back(id); });
        invoker_ = std::make_unique<ctrl::lane_invoker>(*hub_, otherwise_, how);
        otherwise_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
            co_return scripted_invoker::succeeding("\"otherwise\"");
        };
    }
    void end_hub() {
        if (hub_) {
            loop_.run(hub_->finish());
        }
    }
    void TearDown() override {
        release_.set();
        for (auto& each : workers_) {
            loop_.run(each->client.finish(soon()));
        }
        end_hub();
        serving_.request_stop();
        loop_.run(serving_.join());
    }

    // A worker whose lane is one of a pair of sockets. With `greeted` it has its credits.
    test_worker& add_worker(const std::string& id, std::uint32_t credits = 4) {
        test_worker& made = make_worker(id, {.token = token});
        made.host.credits = credits;
        attach(made);
        const auto before = hub_->scheduler().credits();
        loop_.run_until([&] { return hub_->scheduler().credits() == before + credits; });
        return made;
    }
    test_worker& make_worker(const std::string& id, worker::lane_client_options options) {
        workers_.push_back(std::make_unique<test_worker>(lookups_, id, std::move(options)));
        return *workers_.back();
    }
    // The raw descriptor of the worker's end stays known, for cutting it.
    void attach(test_worker& which) {
        auto pair = make_socket_pair();
        worker_end_ = pair.theirs.get();
        hub_->take(std::make_unique<net::socket_stream>(std::move(pair.ours), "unix"));
        serving_.spawn(serve(which.client, std::move(pair.theirs)));
    }
    static task<void> serve(worker::lane_client& client, unique_fd end) {
        co_await client.serve(std::make_unique<net::socket_stream>(std::move(end), "unix"));
    }

    // Runs until the call is at the worker's invoker, where it waits for release_.
    void hold(test_worker& which, bool started) {
        which.invoker.script = [this, started](const faas::invocation& call) {
            return hold_one(release_, call, started);
        };
    }
    static task<result<faas::outcome>> hold_one(event& release, const faas::invocation& call,
                                                bool started) {
        if (started) {
            call.watcher->on_started();
        }
        if (auto let = co_await release.wait(); !let) {
            co_return propagate(let);
        }
        co_return scripted_invoker::succeeding("\"held\"");
    }

    // Lives as long as the test: whoever asks owns what is asked.
    const faas::invocation& call(std::string id = "f", std::string event = "{}") {
        auto target = std::make_shared<faas::function>();
        target->id = std::move(id);
        target->name = "name";
        target->timeout_ms = 1'000;
        return asked_.emplace_back(faas::invocation{.job_id = concat("job-", asked_.size() + 1),
                                                    .request_id = "request-1",
                                                    .target = std::move(target),
                                                    .event = std::move(event)});
    }
    result<faas::outcome> invoke(const faas::invocation& what, deadline until = soon()) {
        return loop_.run(invoker_->invoke(what, until));
    }
    static std::string answer_of(const result<faas::outcome>& end) {
        return end ? concat(end->result_json, end->error_type) : end.error().message;
    }

    test_ring loop_;
    thread_pool lookups_{1, 10};
    scope serving_;
    event release_;
    scripted_invoker otherwise_;
    std::vector<faas::worker_report> reports_;
    std::vector<std::string> left_;
    std::unique_ptr<ctrl::lane_hub> hub_;
    std::unique_ptr<ctrl::lane_invoker> invoker_;
    std::list<std::unique_ptr<test_worker>> workers_;
    int worker_end_ = -1;
    std::deque<faas::invocation> asked_;
};

}  // namespace hearth::test
