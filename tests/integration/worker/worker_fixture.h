#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include "coro/thread_pool.h"
#include "embedded/code_store.h"
#include "faas/confined_intake.h"
#include "tests/port/temporary_directory.h"
#include "uring/ring.h"
#include "worker/worker.h"

namespace hearth::test {

// Each sandbox tells a number of its own and counts its calls.
inline const std::string counting = R"(
import os, random
identity = random.SystemRandom().randrange(1 << 40)
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return [identity, calls]
)";

// Sleeps as long as the event says, in seconds.
inline const std::string sleeping = R"(
import time
def handler(event, context):
    time.sleep(event)
    return "slept"
)";

// A worker as `hearth dev` has it, over the real hearth-sandboxd: a ring, a pool, a code store on
// disk. Everything is drained and must be gone at the end of each test.
class worker_fixture : public ::testing::Test {
public:
    using shared_function = std::shared_ptr<const faas::function>;
    using invoked = result<faas::outcome>;

    void SetUp() override;
    void TearDown() override;

    // Starts everything; the defaults unless a test changed options_ before.
    void open();
    // Drains within `grace` and checks that nothing is left.
    task<void> drain(milliseconds grace = seconds(20));

    // Runs `body` on the ring, then drains unless it has.
    void run(std::function<task<void>()> body);

    // Stores main.py with `source` under a fresh function.
    shared_function function(const std::string& source, std::int64_t timeout_ms = 20'000,
                             std::int64_t memory_mb = 128);
    // Another revision of `old` with the same code.
    static shared_function next_revision(const shared_function& old);

    task<invoked> invoke(shared_function target, std::string event = "null",
                         deadline until = never);
    // `count` calls at once; their answers in order of the calls.
    task<std::vector<invoked>> invoke_many(shared_function target, std::size_t count,
                                           std::string event = "null");
    // Lets the loop turn until `holds`; fails the test when it never does.
    task<void> until(std::function<bool()> holds);

    [[nodiscard]] const worker::dispatcher& dispatch() const { return worker_->dispatch(); }
    [[nodiscard]] pid_t sandboxd() const { return sandboxd_; }

    worker::worker_options options_;
    sandbox::launch_options launch_;
    std::unique_ptr<uring::ring> loop_;
    std::unique_ptr<worker::worker> worker_;
    bool expect_lost_ = false;  // the test ends hearth-sandboxd itself

private:
    temporary_directory directory_;
    std::unique_ptr<thread_pool> blocking_;
    std::unique_ptr<embedded::code_store> store_;
    std::unique_ptr<faas::confined_intake> archives_;
    prometheus::Registry metrics_;
    pid_t sandboxd_ = -1;
    bool drained_ = false;
};

// The result's JSON of a call that succeeded; the error's text otherwise.
[[nodiscard]] std::string text_of(const result<faas::outcome>& end);
// The error type of a call that failed.
[[nodiscard]] std::string error_of(const result<faas::outcome>& end);

}  // namespace hearth::test
