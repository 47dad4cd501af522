#pragma once

#include <functional>
#include <memory>

#include "base/check.h"
#include "coro/yield.h"
#include "tests/support/test_loop.h"
#include "uring/ring.h"

namespace hearth::test {

// An event loop with a kernel, for tests of what talks to real servers.
class test_ring final : public test_loop {
public:
    test_ring() {
        auto made = uring::ring::create(
            {.submission_entries = 64, .completion_entries = 256, .buffer_count = 64});
        HEARTH_CHECK(made.has_value(), "io_uring is not to be had");
        ring_ = std::move(*made);
    }

    [[nodiscard]] uring::ring& ring() noexcept { return *ring_; }

    // For conditions that no task can await; the kernel's completions come in between.
    void run_until(const std::function<bool()>& done) {
        ring_->run([](const std::function<bool()>& is_done) -> task<void> {
            while (!is_done()) {
                co_await yield();
            }
        }(done));
    }

    // What is ready, and what that makes ready; completions of the kernel come in between.
    void run_ready_tasks() {
        run_until([this] { return !ring_->has_ready(); });
    }

private:
    void join(scope& tasks) override { ring_->run(tasks.join()); }

    std::unique_ptr<uring::ring> ring_;
};

}  // namespace hearth::test
