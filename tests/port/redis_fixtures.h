#pragma once

#include <memory>
#include <optional>

#include "coro/scope.h"
#include "coro/thread_pool.h"
#include "redis/rate_limiter.h"
#include "redis/result_bus.h"
#include "tests/support/redis_server.h"
#include "tests/support/test_ring.h"

// The Redis implementations for the conformance suites and their own tests, on a real server.

namespace hearth::test {

// Quick to try again, so that tests of failures do not wait for long.
[[nodiscard]] inline redis::client_settings settings_for(const redis_server& server) {
    return {.where = redis::parse_endpoint(server.url()).value(),
            .pause_min = milliseconds(5),
            .pause_max = milliseconds(50)};
}

// A client that is being kept connected. Members in this order: the loop outlives what arms its
// timers.
class redis_fixture {
public:
    test_ring& loop() { return loop_; }
    redis_server& server() { return server_; }
    redis::client& client() { return *client_; }

protected:
    redis_fixture() { keep(client_->run()); }
    ~redis_fixture() { end(); }

    void keep(task<void> work) { keeping_->spawn(std::move(work)); }
    // Derived fixtures call it before their parts go.
    void end() {
        if (keeping_) {
            keeping_->request_stop();
            loop_.run(keeping_->join());
            keeping_.reset();
        }
    }

    test_ring loop_;
    redis_server server_;
    thread_pool lookups_{1, 16};
    std::unique_ptr<redis::client> client_ =
        std::make_unique<redis::client>(settings_for(server_), lookups_);
    std::optional<scope> keeping_{std::in_place};
};

class redis_bus_fixture : public redis_fixture {
public:
    redis_bus_fixture() { keep(bus_.run()); }
    ~redis_bus_fixture() { end(); }
    redis::result_bus& port() { return bus_; }
    void settle() {
        loop_.run_until(
            [this] { return bus_.connected() && bus_.listening() && !loop_.ring().has_ready(); });
    }

private:
    redis::result_bus bus_{*client_, settings_for(server_), lookups_};
};

class redis_limiter_fixture : public redis_fixture {
public:
    explicit redis_limiter_fixture(std::int64_t limit)
        : limiter_(*client_, {.limit = limit, .window = milliseconds(1000), .now = [this] {
                                  return now_;
                              }}) {}
    ~redis_limiter_fixture() { end(); }
    redis::rate_limiter& port() { return limiter_; }
    void pass(milliseconds time) { now_ += time; }

private:
    milliseconds now_{1'700'000'000'000};
    redis::rate_limiter limiter_;
};

}  // namespace hearth::test
