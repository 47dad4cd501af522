#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"
#include "coro/when_all.h"
#include "tests/integration/worker/worker_fixture.h"

// Dispatcher and worker over the real hearth-sandboxd: who runs where, who is ended when.

namespace hearth::test {
namespace {

using faas::invocation_status;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class worker_test : public worker_fixture {};

TEST_F(worker_test, a_second_call_finds_the_sandbox_warm) {
    run([this]() -> task<void> {
        const auto target = function(counting);
        const auto first = co_await invoke(target);
        const auto second = co_await invoke(target);
        EXPECT_THAT(text_of(first), HasSubstr(",1]")) << text_of(first);
        EXPECT_THAT(text_of(second), HasSubstr(",2]"));
        EXPECT_TRUE(first->cold_start);
        EXPECT_GT(first->init_ms, 0);
        EXPECT_FALSE(second->cold_start);
        EXPECT_EQ(second->init_ms, 0);
        EXPECT_GT(second->memory_mb_peak, 0);
        EXPECT_EQ(dispatch().statistics().started, 1u);
    });
}

// Counts, and notes whether the call had an outcome by then.
class noting_watcher final : public faas::start_watcher {
public:
    void on_started() noexcept override { ++started; }
    int started = 0;
};

TEST_F(worker_test, a_call_tells_once_that_it_starts_and_one_that_cannot_start_does_not) {
    run([this]() -> task<void> {
        const auto target = function(counting);
        const auto broken = function("raise ValueError('at import')");
        for (const auto& [called, expected] : {std::pair(target, 1), std::pair(broken, 0)}) {
            noting_watcher watcher;
            const faas::invocation asked{.job_id = "job-1",
                                         .request_id = "request-1",
                                         .target = called,
                                         .event = "{}",
                                         .watcher = &watcher};
            std::ignore = co_await worker_->invoke(asked, after(seconds(20)));
            EXPECT_EQ(watcher.started, expected);
        }
    });
}

TEST_F(worker_test, idle_sandboxes_are_told_by_revision_until_they_are_retired) {
    run([this]() -> task<void> {
        const auto target = function(counting);
        EXPECT_EQ(dispatch().idle_of(*target), 0u);
        co_await invoke(target);
        EXPECT_EQ(dispatch().idle_of(*target), 1u);
        const auto all = dispatch().idle_by_revision();
        EXPECT_EQ(all.size(), 1u);
        EXPECT_EQ(all.at(0).function_id, target->id);
        EXPECT_EQ(all.at(0).revision, target->revision);
        EXPECT_EQ(all.at(0).count, 1u);
        worker_->retire(target->id, 0);
        EXPECT_TRUE(dispatch().idle_by_revision().empty());
    });
}

TEST_F(worker_test, two_functions_with_the_same_code_share_no_sandbox) {
    run([this]() -> task<void> {
        const auto one = co_await invoke(function(counting));
        const auto two = co_await invoke(function(counting));
        EXPECT_NE(text_of(one), text_of(two));
        EXPECT_EQ(dispatch().statistics().started, 2u);
    });
}

TEST_F(worker_test, a_timeout_ends_the_sandbox_and_the_next_call_gets_a_new_one) {
    run([this]() -> task<void> {
        const auto target = function(sleeping, 300);
        EXPECT_EQ(text_of(co_await invoke(target, "0")), "\"slept\"");
        const auto late = co_await invoke(target, "60");
        EXPECT_EQ(error_of(late), faas::error_type::timed_out);
        EXPECT_THAT(text_of(late), HasSubstr("0.30 seconds"));
        EXPECT_EQ(text_of(co_await invoke(target, "0")), "\"slept\"");
        EXPECT_EQ(dispatch().statistics().started, 2u);
        EXPECT_EQ(dispatch().statistics().discarded, 1u);
    });
}

TEST_F(worker_test, a_failed_handler_keeps_its_sandbox_and_a_process_that_ends_does_not) {
    run([this]() -> task<void> {
        const auto target = function(R"(
import os
def handler(event, context):
    if event == "exit":
        os._exit(7)
    if event == "crash":
        os.kill(os.getpid(), 11)
    if event == "close":
        os.close(3)
        import time
        time.sleep(60)
    raise KeyError(event)
)");
        EXPECT_EQ(error_of(co_await invoke(target, "\"a\"")), "KeyError");
        EXPECT_EQ(error_of(co_await invoke(target, "\"b\"")), "KeyError");
        EXPECT_EQ(dispatch().statistics().started, 1u);
        const auto left = co_await invoke(target, "\"exit\"");
        EXPECT_EQ(error_of(left), faas::error_type::exited);
        EXPECT_THAT(text_of(left), HasSubstr("exit status 7"));
        const auto crashed = co_await invoke(target, "\"crash\"");
        EXPECT_EQ(error_of(crashed), faas::error_type::crashed);
        EXPECT_THAT(text_of(crashed), HasSubstr("SIGSEGV"));
        EXPECT_EQ(error_of(co_await invoke(target, "\"close\"")), faas::error_type::exited)
            << "one that closes its stream and lives on is ended";
        EXPECT_EQ(error_of(co_await invoke(target, "\"c\"")), "KeyError");
        EXPECT_EQ(dispatch().statistics().discarded, 3u);
    });
}

TEST_F(worker_test, frames_that_nobody_asked_for_fail_their_own_function_alone) {
    // Header: length, type, flags, reserved, nonce. The true nonce is the sandbox's to know; it
    // lies about the rest.
    const std::string hostile = R"(
import os, struct
def frame(length, kind, nonce, payload=b""):
    return struct.pack("<IBBHQ", length, kind, 0, 0, nonce) + payload
def handler(event, context):
    if event == "stale":
        os.write(3, frame(2, 5, 42, b"{}"))
    if event == "huge":
        os.write(3, frame(0xffffffff, 5, 42))
    if event == "garbage":
        os.write(3, b"\xff" * 64)
    if event == "ready":
        os.write(3, frame(2, 3, 42, b"{}"))
    return 1
)";
    run([&]() -> task<void> {
        const auto target = function(hostile);
        for (const auto* how : {"\"stale\"", "\"huge\"", "\"garbage\"", "\"ready\""}) {
            EXPECT_EQ(error_of(co_await invoke(target, how)), faas::error_type::protocol_violation)
                << how;
            EXPECT_EQ(text_of(co_await invoke(target, "null")), "1") << "after " << how;
        }
        EXPECT_EQ(dispatch().statistics().discarded, 4u);
    });
}

TEST_F(worker_test, an_idle_sandbox_that_speaks_unasked_gets_no_further_call) {
    run([this]() -> task<void> {
        const auto target = function(R"(
import os, threading, time
def speak():
    time.sleep(0.05)
    os.write(3, b"\0" * 64)
def handler(event, context):
    threading.Thread(target=speak, daemon=True).start()
    return "ok"
)");
        EXPECT_EQ(text_of(co_await invoke(target)), "\"ok\"");
        co_await sleep_until(after(milliseconds(300)));
        EXPECT_EQ(text_of(co_await invoke(target)), "\"ok\"") << "by a new sandbox";
        EXPECT_EQ(dispatch().statistics().started, 2u);
    });
}

TEST_F(worker_test, a_sandbox_that_dies_while_idle_is_noticed_and_its_memory_is_free) {
    run([this]() -> task<void> {
        const auto target = function(R"(
import os, threading, time
def leave():
    time.sleep(0.05)
    os._exit(0)
def handler(event, context):
    threading.Thread(target=leave, daemon=True).start()
    return "ok"
)");
        EXPECT_EQ(text_of(co_await invoke(target)), "\"ok\"");
        co_await until([this] { return dispatch().memory_used_mb() == 0; });
        EXPECT_EQ(dispatch().idle(), 0u);
        EXPECT_EQ(dispatch().live(), 0u);
        EXPECT_EQ(text_of(co_await invoke(target)), "\"ok\"");
    });
}

TEST_F(worker_test, several_sandboxes_of_one_function_that_expire_at_once_leave_cleanly) {
    options_.dispatch.idle_ttl = seconds(1);
    run([this]() -> task<void> {
        const auto target = function(sleeping);
        for (const auto& each : co_await invoke_many(target, 4, "0.3")) {
            EXPECT_EQ(text_of(each), "\"slept\"");
        }
        EXPECT_GT(dispatch().idle(), 1u);
        co_await until([this] { return dispatch().memory_used_mb() == 0; });
        EXPECT_EQ(dispatch().idle(), 0u);
        EXPECT_EQ(text_of(co_await invoke(target, "0")), "\"slept\"");
    });
}

TEST_F(worker_test, an_update_ends_idle_sandboxes_at_once_and_running_ones_after_their_call) {
    run([this]() -> task<void> {
        const auto old = function(sleeping);
        const auto fresh = next_revision(old);
        EXPECT_EQ(text_of(co_await invoke(old, "0")), "\"slept\"");
        worker_->retire(old->id, fresh->revision);
        co_await until([this] { return dispatch().live() == 0; });
        EXPECT_EQ(dispatch().statistics().retired, 1u);

        scope tasks;
        std::string answer;
        tasks.spawn([](worker_test& self, shared_function target, std::string& into) -> task<void> {
            into = text_of(co_await self.invoke(target, "0.3"));
        }(*this, old, answer));
        co_await until([this] { return dispatch().busy() == 1; });
        worker_->retire(old->id, fresh->revision);
        co_await tasks.join();
        EXPECT_EQ(answer, "\"slept\"") << "a call that runs is not disturbed";
        co_await until([this] { return dispatch().memory_used_mb() == 0; });
        EXPECT_EQ(dispatch().statistics().retired, 2u);
    });
}

TEST_F(worker_test, an_update_announced_late_does_not_end_a_newer_revision) {
    run([this]() -> task<void> {
        const auto newest = next_revision(next_revision(function(counting)));
        EXPECT_TRUE(co_await invoke(newest));
        worker_->retire(newest->id, 2);
        EXPECT_EQ(dispatch().idle(), 1u);
        worker_->retire(newest->id, 0);
        EXPECT_EQ(dispatch().idle(), 0u) << "a deletion retires all";
    });
}

TEST_F(worker_test, the_idle_sandbox_that_is_worth_least_makes_room_under_the_memory_budget) {
    options_.dispatch.memory_budget_mb = 256;
    run([this]() -> task<void> {
        const auto busy = function(counting + "# busy");
        const auto rare = function(counting + "# rare");
        const auto next = function(counting + "# next");
        for (int i = 0; i < 20; ++i) {
            EXPECT_TRUE(co_await invoke(busy));
        }
        EXPECT_THAT(text_of(co_await invoke(rare)), HasSubstr(",1]"));
        EXPECT_THAT(text_of(co_await invoke(next)), HasSubstr(",1]"));
        EXPECT_EQ(dispatch().statistics().evicted, 1u);
        EXPECT_LE(dispatch().memory_used_mb(), 256);
        EXPECT_THAT(text_of(co_await invoke(busy)), HasSubstr(",21]")) << "though idle for longer";
        EXPECT_THAT(text_of(co_await invoke(rare)), HasSubstr(",1]"));
    });
}

TEST_F(worker_test, a_function_larger_than_the_budget_fails_with_the_remedy_and_is_not_retried) {
    options_.dispatch.memory_budget_mb = 256;
    run([this]() -> task<void> {
        const auto end = co_await invoke(function(counting, 1'000, 512));
        EXPECT_TRUE(end.has_value()) << "a refusal would bring a job back for ever";
        EXPECT_EQ(error_of(end), faas::error_type::start_failed);
        EXPECT_TRUE(end && end->not_started);
        EXPECT_THAT(text_of(end), HasSubstr("--memory-budget"));
    });
}

TEST_F(worker_test, a_busy_function_does_not_keep_another_out_for_ever) {
    options_.dispatch.memory_budget_mb = 128;  // room for one sandbox
    run([this]() -> task<void> {
        const auto busy = function(sleeping + "# busy");
        const auto other = function(sleeping + "# other");
        bool stop = false;
        scope tasks;
        for (int i = 0; i < 3; ++i) {
            tasks.spawn([](worker_test& self, shared_function target, bool& over) -> task<void> {
                while (!over) {
                    EXPECT_EQ(text_of(co_await self.invoke(target, "0.02")), "\"slept\"");
                }
            }(*this, busy, stop));
        }
        co_await until([this] { return dispatch().busy() == 1; });
        EXPECT_EQ(text_of(co_await invoke(other, "0", after(seconds(30)))), "\"slept\"");
        stop = true;
        co_await tasks.join();
    });
}

TEST_F(worker_test, runs_no_more_sandboxes_of_a_function_than_its_limit) {
    options_.dispatch.concurrency_max = 3;
    run([this]() -> task<void> {
        for (const auto& each : co_await invoke_many(function(sleeping), 12, "0.1")) {
            EXPECT_EQ(text_of(each), "\"slept\"");
        }
        EXPECT_LE(dispatch().statistics().started, 3u);
        EXPECT_GE(dispatch().statistics().started, 2u) << "a slow function gets several";
    });
}

TEST_F(worker_test, runs_no_more_sandboxes_than_hearth_sandboxd_has_slots) {
    launch_.slots = 2;
    run([this]() -> task<void> {
        for (const auto& each : co_await invoke_many(function(sleeping), 8, "0.2")) {
            EXPECT_EQ(text_of(each), "\"slept\"");
        }
        EXPECT_EQ(dispatch().statistics().start_failures, 0u);
    });
}

TEST_F(worker_test, a_burst_of_first_calls_of_a_fast_function_starts_few_sandboxes) {
    run([this]() -> task<void> {
        for (const auto& each : co_await invoke_many(function(counting), 50)) {
            EXPECT_THAT(text_of(each), StartsWith("["));
        }
        EXPECT_LE(dispatch().statistics().started, 4u);
    });
}

TEST_F(worker_test, a_full_queue_refuses_and_leaves_no_trace_of_functions_it_never_ran) {
    options_.dispatch.function_queue_max = 4;
    options_.dispatch.host_queue_max = 6;
    run([this]() -> task<void> {
        const auto one = function(sleeping + "# one");
        const auto answers = co_await invoke_many(one, 10, "0.05");
        EXPECT_EQ(std::ranges::count_if(answers, [](const invoked& each) { return !each; }), 6);
        EXPECT_EQ(answers.back().error().code, errc::limit_exceeded);
        EXPECT_THAT(answers.back().error().message, HasSubstr("function's queue"));

        std::vector<shared_function> others;
        for (int i = 0; i < 10; ++i) {
            others.push_back(function(concat(sleeping, "# other ", i)));
        }
        std::vector<task<invoked>> calls;
        for (const auto& each : others) {
            calls.push_back(invoke(each, "0.05"));
        }
        const auto spread = co_await when_all(std::move(calls));
        EXPECT_EQ(std::ranges::count_if(spread, [](const invoked& each) { return !each; }), 4);
        EXPECT_THAT(spread.back().error().message, HasSubstr("host's queue"));
    });
}

TEST_F(worker_test, a_deadline_in_the_queue_ends_the_wait_without_running_the_function) {
    options_.dispatch.concurrency_max = 1;
    run([this]() -> task<void> {
        const auto target = function(sleeping);
        EXPECT_EQ(text_of(co_await invoke(target, "0")), "\"slept\"");
        scope tasks;
        tasks.spawn([](worker_test& self, shared_function slow) -> task<void> {
            EXPECT_EQ(text_of(co_await self.invoke(slow, "0.5")), "\"slept\"");
        }(*this, target));
        co_await until([this] { return dispatch().busy() == 1; });
        const auto late = co_await invoke(target, "0", after(milliseconds(50)));
        EXPECT_EQ(late.error().code, errc::deadline_exceeded);
        EXPECT_EQ(dispatch().waiting(), 0u);
        co_await tasks.join();
    });
}

TEST_F(worker_test, a_failed_import_is_the_outcome_of_everybody_who_waits) {
    run([this]() -> task<void> {
        const auto target = function("import time\ntime.sleep(0.1)\nprint('here')\nimport nothing");
        for (const auto& each : co_await invoke_many(target, 5)) {
            EXPECT_THAT(text_of(each), HasSubstr("nothing"));
            EXPECT_TRUE(each && each->cold_start);
            EXPECT_THAT(each->logs, HasSubstr("here"));
        }
        EXPECT_EQ(dispatch().statistics().started, 1u);
        EXPECT_EQ(dispatch().statistics().start_failures, 1u);
        co_await until([this] { return dispatch().memory_used_mb() == 0; });
    });
}

TEST_F(worker_test, missing_code_is_an_outcome_that_did_not_start) {
    run([this]() -> task<void> {
        auto target = std::make_shared<faas::function>(*function(counting));
        target->code_sha256 = std::string(64, '0');
        const auto end = co_await invoke(target);
        EXPECT_EQ(error_of(end), faas::error_type::code_unavailable);
        EXPECT_TRUE(end && end->not_started);
    });
}

TEST_F(worker_test, out_of_memory_is_told_as_such) {
    run([this]() -> task<void> {
        const auto target =
            function("def handler(event, context):\n    return len(bytearray(1 << 30))");
        const auto end = co_await invoke(target);
        EXPECT_THAT(text_of(end),
                    ::testing::AnyOf(HasSubstr("MemoryError"), HasSubstr("Runtime.OutOfMemory")));
        EXPECT_TRUE(co_await invoke(function(counting))) << "the worker goes on";
    });
}

TEST_F(worker_test, a_flood_of_output_is_cut_and_ends_nobody) {
    run([this]() -> task<void> {
        const auto target = function(R"(
def handler(event, context):
    for i in range(event):
        print("x" * 1023)
    return "done"
)");
        const auto flood = co_await invoke(target, "65536");
        EXPECT_EQ(text_of(flood), "\"done\"");
        EXPECT_THAT(flood->logs, HasSubstr("[log cut at"));
        EXPECT_LE(flood->logs.size(), faas::log_bytes_max + 64);
        const auto next = co_await invoke(target, "1");
        EXPECT_THAT(next->logs, ::testing::Not(HasSubstr("log cut")));
    });
}

// A job that was looked up before the update, or a call that was on its way.
TEST_F(worker_test, a_call_of_a_revision_that_was_retired_before_leaves_no_sandbox_behind) {
    run([this]() -> task<void> {
        const auto old = function(counting);
        const auto fresh = next_revision(old);
        worker_->retire(old->id, fresh->revision);
        EXPECT_TRUE(co_await invoke(old));
        EXPECT_EQ(dispatch().idle(), 0u);
        EXPECT_TRUE(co_await invoke(fresh));
        EXPECT_EQ(dispatch().idle(), 1u);
        worker_->retire(old->id, 0);
        EXPECT_TRUE(co_await invoke(fresh));
        EXPECT_EQ(dispatch().idle(), 0u);
    });
}

}  // namespace
}  // namespace hearth::test
