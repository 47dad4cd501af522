#pragma once

#include <memory>
#include <optional>

#include "coro/scope.h"
#include "http/client.h"
#include "tests/support/test_ring.h"

namespace hearth::test {

// An HTTP client that is being run, with a loop. Members in this order: the loop outlives what arms
// its timers.
class http_fixture {
public:
    test_ring& loop() { return loop_; }
    http::client& transport() { return *transport_; }

    http_fixture() { running_->spawn(transport_->run()); }
    ~http_fixture() { end(); }
    // Derived fixtures call it before their parts go.
    void end() {
        if (running_) {
            running_->request_stop();
            loop_.run(running_->join());
            running_.reset();
        }
    }
    // Until the end.
    void keep(task<void> work) { running_->spawn(std::move(work)); }

private:
    test_ring loop_;
    std::unique_ptr<http::client> transport_ = http::client::create({}).value();
    std::optional<scope> running_{std::in_place};
};

}  // namespace hearth::test
