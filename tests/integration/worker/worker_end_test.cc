#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "coro/frame_pool.h"
#include "coro/when_all.h"
#include "tests/integration/worker/worker_fixture.h"
#include "tests/support/sockets.h"

// How a worker ends, by a drain or by the loss of hearth-sandboxd, and that nothing is left behind.

namespace hearth::test {
namespace {

class worker_end_test : public worker_fixture {};

TEST_F(worker_end_test, draining_lets_calls_end_within_the_grace_and_refuses_new_ones) {
    run([this]() -> task<void> {
        const auto target = function(sleeping);
        scope tasks;
        tasks.spawn([](worker_end_test& self, shared_function slow) -> task<void> {
            EXPECT_EQ(text_of(co_await self.invoke(slow, "0.3")), "\"slept\"");
        }(*this, target));
        co_await until([this] { return dispatch().busy() == 1; });
        worker_->refuse_new();
        EXPECT_EQ((co_await invoke(target)).error().code, errc::unavailable);
        co_await drain();
        co_await tasks.join();
    });
}

TEST_F(worker_end_test, a_grace_that_is_over_ends_what_runs_waits_and_starts) {
    options_.dispatch.concurrency_max = 1;
    run([this]() -> task<void> {
        const auto slow = function(sleeping);
        const auto slow_import = function("import time\ntime.sleep(25)");
        std::vector<invoked> ends;
        scope tasks;
        const auto begin = [&](shared_function target) {
            tasks.spawn([](worker_end_test& self, shared_function what,
                           std::vector<invoked>& into) -> task<void> {
                into.push_back(co_await self.invoke(what, "60"));
            }(*this, target, ends));
        };
        begin(slow);
        co_await until([this] { return dispatch().busy() == 1; });
        begin(slow);
        begin(slow_import);
        co_await until([this] { return dispatch().waiting() == 2 && dispatch().live() == 2; });
        const steady_time began = steady_clock::now();
        co_await drain(milliseconds(50));
        co_await tasks.join();
        EXPECT_LT(steady_clock::now() - began, seconds(15)) << "not the import's 25 seconds";
        EXPECT_EQ(ends.size(), 3u);
        EXPECT_EQ(std::ranges::count_if(ends, [](const invoked& each) { return !each; }), 2)
            << "those that had not begun are refused, and may be tried elsewhere";
        EXPECT_EQ(std::ranges::count_if(ends,
                                        [](const invoked& each) {
                                            return error_of(each) == faas::error_type::exited;
                                        }),
                  1);
    });
}

TEST_F(worker_end_test, many_running_sandboxes_are_ended_together) {
    // More kill requests than the kernel queues on the control socket at once.
    options_.dispatch.concurrency_max = 24;
    run([this]() -> task<void> {
        const auto target = function(sleeping);
        std::size_t ended = 0;
        scope tasks;
        for (int i = 0; i < 24; ++i) {
            tasks.spawn(
                [](worker_end_test& self, shared_function slow, std::size_t& count) -> task<void> {
                    EXPECT_EQ(error_of(co_await self.invoke(slow, "60")), faas::error_type::exited);
                    ++count;
                }(*this, target, ended));
        }
        co_await until([this] { return dispatch().busy() == 24; });
        co_await drain(milliseconds(1));
        co_await tasks.join();
        EXPECT_EQ(ended, 24u);
        EXPECT_FALSE(worker_->lost().is_set()) << "hearth-sandboxd was not lost on the way";
    });
}

TEST_F(worker_end_test, the_loop_turns_while_hearth_sandboxd_takes_its_time_to_end) {
    run([this]() -> task<void> {
        bool drained = false;
        EXPECT_EQ(::kill(sandboxd(), SIGSTOP), 0);
        scope tasks;
        tasks.spawn([](worker_end_test& self, bool& done) -> task<void> {
            co_await self.drain();
            done = true;
        }(*this, drained));
        for (int turn = 0; turn < 50; ++turn) {
            EXPECT_TRUE(co_await sleep_until(after(milliseconds(1))));
        }
        EXPECT_FALSE(drained) << "a stopped process does not end";
        EXPECT_EQ(::kill(sandboxd(), SIGCONT), 0);
        co_await tasks.join();
    });
}

TEST_F(worker_end_test, the_end_of_hearth_sandboxd_ends_every_call_and_is_told) {
    expect_lost_ = true;
    run([this]() -> task<void> {
        const auto fast = function(counting);
        const auto slow = function(sleeping);
        EXPECT_TRUE(co_await invoke(fast));
        for (const auto& each : co_await invoke_many(slow, 3, "1")) {
            EXPECT_EQ(text_of(each), "\"slept\"");
        }
        EXPECT_GT(dispatch().idle(), 2u) << "several idle ones, two of one function";
        std::vector<invoked> ends;
        scope tasks;
        tasks.spawn([](worker_end_test& self, shared_function what,
                       std::vector<invoked>& into) -> task<void> {
            into.push_back(co_await self.invoke(what, "60"));
        }(*this, slow, ends));
        co_await until([this] { return dispatch().busy() == 1; });
        EXPECT_EQ(::kill(sandboxd(), SIGKILL), 0);
        EXPECT_TRUE(co_await worker_->lost().wait(after(seconds(30))));
        co_await tasks.join();
        EXPECT_EQ(error_of(ends.front()), faas::error_type::exited);
        EXPECT_EQ((co_await invoke(fast)).error().code, errc::unavailable);
    });
}

TEST_F(worker_end_test, five_hundred_mixed_calls_leave_no_frame_and_no_descriptor) {
    options_.dispatch.concurrency_max = 4;
    run([this]() -> task<void> {
        const auto fast = function(counting);
        const auto mixed = function(R"(
import os
def handler(event, context):
    if event % 25 == 3:
        os._exit(1)
    if event % 5 == 1:
        raise ValueError("no")
    return "x" * (event * 97)
)");
        // Once before: the unpacked code stays, one descriptor each.
        EXPECT_TRUE(co_await invoke(fast));
        EXPECT_TRUE(co_await invoke(mixed, "0"));
        worker_->retire(fast->id, 0);
        worker_->retire(mixed->id, 0);
        co_await until([this] { return dispatch().memory_used_mb() == 0; });
        const auto frames = this_thread_frames().live;
        const auto descriptors = open_descriptors();
        for (int round = 0; round < 50; ++round) {
            std::vector<task<invoked>> calls;
            for (int i = 0; i < 5; ++i) {
                calls.push_back(invoke(fast));
                calls.push_back(invoke(mixed, std::to_string(round * 5 + i)));
            }
            for (const auto& each : co_await when_all(std::move(calls))) {
                EXPECT_TRUE(each.has_value()) << each.error().message;
            }
        }
        worker_->retire(fast->id, 0);
        worker_->retire(mixed->id, 0);
        co_await until([this] { return dispatch().memory_used_mb() == 0; });
        // until() has a frame of its own.
        co_await until([&] { return this_thread_frames().live <= frames + 1; });
        EXPECT_LE(this_thread_frames().live, frames);
        EXPECT_EQ(open_descriptors(), descriptors);
        EXPECT_EQ(dispatch().live(), 0u);
    });
}

}  // namespace
}  // namespace hearth::test
