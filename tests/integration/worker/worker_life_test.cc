#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"
#include "tests/integration/worker/worker_fixture.h"
#include "worker/start_backoff.h"

// What becomes of a sandbox between its calls, over the real hearth-sandboxd.

namespace hearth::test {
namespace {

using ::testing::HasSubstr;

class worker_life_test : public worker_fixture {};

// Does what the event says, and counts its calls.
const std::string leaving = R"(
import os, subprocess, threading
stop = threading.Event()
calls = 0
held = []
def handler(event, context):
    global calls, stop
    calls += 1
    if event == "process":
        subprocess.Popen(["/usr/bin/sleep", "1000"])
    if event == "daemon":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                stop.wait()
            os._exit(0)
        os.wait()
    if event == "thread":
        threading.Thread(target=stop.wait, daemon=True).start()
    if event == "exchange":
        stop.set()
        stop = threading.Event()
        subprocess.Popen(["/usr/bin/sleep", "1000"])
        while threading.active_count() > 1:
            pass
    if event == "brief":
        many = [threading.Thread(target=int) for _ in range(20)]
        [each.start() for each in many]
        [each.join() for each in many]
        subprocess.run(["/usr/bin/true"])
    if event == "zombie":
        held.append(subprocess.Popen(["/usr/bin/true"]))
        os.waitid(os.P_PID, held[-1].pid, os.WEXITED | os.WNOWAIT)
    if event == "memory":
        held.append(bytearray(105 << 20))
        held[-1][::4096] = b"x" * (105 << 8)
    if event == "files":
        held.extend(open("/dev/null") for _ in range(900))
    return calls
)";

TEST_F(worker_life_test, an_idle_sandbox_is_frozen_and_serves_again) {
    options_.dispatch.freeze_after = milliseconds(1);
    run([this]() -> task<void> {
        const auto target = function(counting);
        EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(",1]"));
        for (int i = 2; i < 10; ++i) {
            co_await until([this] { return dispatch().frozen() == 1; });
            EXPECT_EQ(dispatch().idle(), 1u);
            EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(concat(",", i, "]")));
        }
        EXPECT_EQ(dispatch().statistics().thawed, 8u);
        EXPECT_EQ(dispatch().statistics().started, 1u);
    });
}

TEST_F(worker_life_test, a_frozen_sandbox_does_not_work) {
    options_.dispatch.freeze_after = milliseconds(1);
    run([this]() -> task<void> {
        const auto target = function(R"(
import threading, time
beats = 0
def beat():
    global beats
    while True:
        beats += 1
        time.sleep(0.001)
def handler(event, context):
    if event == "start":
        threading.Thread(target=beat, daemon=True).start()
    return beats
)");
        EXPECT_TRUE(co_await invoke(target, "\"start\""));
        co_await until([this] { return dispatch().frozen() == 1; });
        const auto before = std::stoi(text_of(co_await invoke(target)));
        co_await until([this] { return dispatch().frozen() == 1; });
        const auto frozen_at = steady_clock::now();
        co_await until([=] { return steady_clock::now() > frozen_at + milliseconds(400); });
        const auto after_freeze = std::stoi(text_of(co_await invoke(target)));
        EXPECT_LT(after_freeze - before, 200) << "it would have beaten some 400 times";
    });
}

TEST_F(worker_life_test, a_grace_of_zero_never_freezes) {
    options_.dispatch.freeze_after = milliseconds(0);
    options_.dispatch.idle_ttl = seconds(1);
    run([this]() -> task<void> {
        EXPECT_TRUE(co_await invoke(function(counting)));
        co_await until([this] { return dispatch().live() == 0; });
        EXPECT_EQ(dispatch().statistics().frozen, 0u);
        EXPECT_EQ(dispatch().statistics().expired, 1u);
    });
}

TEST_F(worker_life_test, frozen_sandboxes_are_retired_and_evicted_like_others) {
    options_.dispatch.freeze_after = milliseconds(1);
    options_.dispatch.memory_budget_mb = 128;
    run([this]() -> task<void> {
        const auto one = function(counting + "# one");
        EXPECT_TRUE(co_await invoke(one));
        co_await until([this] { return dispatch().frozen() == 1; });
        EXPECT_TRUE(co_await invoke(function(counting + "# two")));
        EXPECT_EQ(dispatch().statistics().evicted, 1u);
        co_await until([this] { return dispatch().frozen() == 1; });
        const auto three = function(counting + "# three");
        EXPECT_TRUE(co_await invoke(three));
        co_await until([this] { return dispatch().frozen() == 1; });
        worker_->retire(three->id, 0);
        EXPECT_EQ(dispatch().idle(), 0u);
        co_await until([this] { return dispatch().memory_used_mb() == 0; });
    });
}

// Every process in the frozen cgroups of this test's instance.
std::vector<pid_t> frozen_processes(const std::string& instance) {
    std::vector<pid_t> found;
    std::error_code ignored;
    const std::filesystem::recursive_directory_iterator end;
    for (std::filesystem::recursive_directory_iterator each("/sys/fs/cgroup", ignored); each != end;
         each.increment(ignored)) {
        int frozen = 0;
        if (each->path().filename() == "cgroup.freeze" &&
            each->path().string().contains(concat("hearth-", instance, "/")) &&
            std::ifstream(each->path()) >> frozen && frozen == 1) {
            std::ifstream list(each->path().parent_path() / "cgroup.procs");
            for (pid_t pid = 0; list >> pid;) {
                found.push_back(pid);
            }
        }
    }
    return found;
}

TEST_F(worker_life_test, a_frozen_sandbox_that_is_killed_is_noticed_and_replaced) {
    options_.dispatch.freeze_after = milliseconds(1);
    run([this]() -> task<void> {
        const auto target = function(counting);
        for (int i = 0; i < 3; ++i) {
            EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(",1]"));
            co_await until([this] { return dispatch().frozen() == 1; });
            const auto processes = frozen_processes(launch_.instance);
            EXPECT_EQ(processes.size(), 2u);
            for (const pid_t each : processes) {
                ::kill(each, SIGKILL);
            }
            co_await until([this] { return dispatch().live() == 0; });
        }
        EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(",1]"));
        EXPECT_EQ(dispatch().statistics().thawed, 0u);
    });
}

TEST_F(worker_life_test, processes_that_a_call_leaves_end_its_sandbox_after_the_answer) {
    run([this]() -> task<void> {
        const auto target = function(leaving);
        std::uint64_t strays = 0;
        for (const char* way : {"\"process\"", "\"daemon\""}) {
            EXPECT_EQ(text_of(co_await invoke(target)), "1");
            EXPECT_EQ(text_of(co_await invoke(target, way)), "2") << "the answer counts";
            ++strays;
            co_await until([&] { return dispatch().statistics().strays == strays; });
        }
        EXPECT_EQ(text_of(co_await invoke(target)), "1");
    });
}

TEST_F(worker_life_test, a_call_that_waits_gets_no_sandbox_with_strays) {
    options_.dispatch.concurrency_max = 1;
    run([this]() -> task<void> {
        const auto target = function(leaving);
        for (const auto& each : co_await invoke_many(target, 4, "\"process\"")) {
            EXPECT_EQ(text_of(each), "1");
        }
    });
}

TEST_F(worker_life_test, threads_stay_and_do_not_hide_a_process_that_takes_their_place) {
    run([this]() -> task<void> {
        const auto target = function(leaving);
        EXPECT_EQ(text_of(co_await invoke(target, "\"thread\"")), "1");
        EXPECT_EQ(text_of(co_await invoke(target, "\"thread\"")), "2");
        EXPECT_EQ(text_of(co_await invoke(target)), "3");
        EXPECT_EQ(dispatch().statistics().strays, 0u);
        EXPECT_EQ(text_of(co_await invoke(target, "\"exchange\"")), "4");
        co_await until([this] { return dispatch().statistics().strays == 1; });
    });
}

TEST_F(worker_life_test, what_ends_with_the_call_costs_nothing) {
    run([this]() -> task<void> {
        const auto target = function(leaving);
        for (int i = 1; i <= 30; ++i) {
            EXPECT_EQ(text_of(co_await invoke(target, "\"brief\"")), concat(i));
        }
        EXPECT_EQ(text_of(co_await invoke(target, "\"zombie\"")), "31");
        EXPECT_EQ(text_of(co_await invoke(target)), "32") << "a zombie runs nothing";
        EXPECT_EQ(dispatch().statistics().started, 1u);
    });
}

TEST_F(worker_life_test, what_the_import_starts_is_expected) {
    run([this]() -> task<void> {
        const auto target = function(R"(
import subprocess, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
subprocess.Popen(["/usr/bin/sleep", "1000"])
)" + counting);
        EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(",1]"));
        EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(",2]"));
    });
}

TEST_F(worker_life_test, a_sandbox_is_replaced_after_its_calls_and_its_age) {
    options_.dispatch.recycling.calls = 3;
    run([this]() -> task<void> {
        const auto target = function(counting);
        for (int i = 0; i < 9; ++i) {
            EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(concat(",", i % 3 + 1, "]")));
        }
        EXPECT_EQ(dispatch().statistics().recycled, 3u);
    });
}

TEST_F(worker_life_test, a_sandbox_that_is_old_enough_serves_no_second_call) {
    options_.dispatch.recycling.age = seconds(0);
    run([this]() -> task<void> {
        const auto target = function(counting);
        EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(",1]"));
        EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(",1]"));
    });
}

TEST_F(worker_life_test, growth_towards_a_limit_recycles_before_a_call_meets_it) {
    run([this]() -> task<void> {
        for (const char* way : {"\"memory\"", "\"files\""}) {
            const auto target = function(leaving + way);
            EXPECT_EQ(text_of(co_await invoke(target)), "1");
            EXPECT_EQ(text_of(co_await invoke(target, way)), "2");
            for (std::uint64_t i = 3; i <= worker::calls_per_look; ++i) {
                EXPECT_EQ(text_of(co_await invoke(target)), concat(i));
            }
            EXPECT_EQ(text_of(co_await invoke(target)), "1") << way;
        }
        EXPECT_EQ(dispatch().statistics().recycled, 2u);
    });
}

TEST_F(worker_life_test, a_large_function_that_does_not_grow_is_not_recycled) {
    run([this]() -> task<void> {
        const auto target = function(
            "held = bytearray(95 << 20)\n"
            "held[::4096] = b'x' * (95 << 8)\n" +
            counting);
        for (std::uint64_t i = 1; i <= worker::calls_per_look + 1; ++i) {
            EXPECT_THAT(text_of(co_await invoke(target)), HasSubstr(concat(",", i, "]")));
        }
        EXPECT_EQ(dispatch().statistics().recycled, 0u);
    });
}

TEST_F(worker_life_test, sandboxes_that_keep_failing_to_start_are_not_tried_for_a_while) {
    run([this]() -> task<void> {
        const auto target = function("import nothing_of_that_name\n");
        for (std::uint32_t i = 0; i < worker::start_backoff::failures_free; ++i) {
            EXPECT_EQ(error_of(co_await invoke(target)), faas::error_type::import_failed);
        }
        const auto started = dispatch().statistics().started;
        const auto refused = co_await invoke(target);
        EXPECT_EQ(error_of(refused), faas::error_type::crash_loop);
        EXPECT_THAT(text_of(refused), HasSubstr("nothing_of_that_name"));
        EXPECT_THAT(text_of(refused), HasSubstr("call again in 1 s"));
        for (const auto& each : co_await invoke_many(target, 20)) {
            EXPECT_EQ(error_of(each), faas::error_type::crash_loop);
        }
        EXPECT_EQ(dispatch().statistics().started, started);
        EXPECT_EQ(dispatch().crash_looping(), 1u);
        EXPECT_EQ(error_of(co_await invoke(next_revision(target))), faas::error_type::import_failed)
            << "an update is tried at once";
        EXPECT_TRUE(co_await invoke(function(counting))) << "others are not held up";
        co_await until([this] { return dispatch().crash_looping() == 0; });
        for (const auto& each : co_await invoke_many(target, 20)) {
            EXPECT_EQ(error_of(each), faas::error_type::import_failed);
        }
        EXPECT_EQ(dispatch().statistics().started, started + 3) << "one try for all that wait";
    });
}

TEST_F(worker_life_test, cpu_time_is_that_of_the_call) {
    run([this]() -> task<void> {
        const auto target = function(R"(
import time
def handler(event, context):
    until = time.process_time() + event
    while time.process_time() < until:
        pass
)");
        EXPECT_TRUE(co_await invoke(target, "0"));
        const auto burnt = co_await invoke(target, "0.2");
        EXPECT_GE(burnt->cpu_ms, 190);
        EXPECT_LE(burnt->cpu_ms, burnt->duration_ms * 1.1);
        const auto idle = co_await invoke(target, "0");
        EXPECT_LT(idle->cpu_ms, 100) << "not what came before";
    });
}

TEST_F(worker_life_test, a_function_gets_the_processor_that_its_memory_is_worth) {
    options_.dispatch.cpu_floor_millis = 100;
    run([this]() -> task<void> {
        const auto target = function(R"(
import time
def handler(event, context):
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        pass
)");
        const auto end = co_await invoke(target);
        EXPECT_EQ(text_of(end), "null");
        // A tenth of a second, what was saved for one period, and the kernel's slice.
        EXPECT_LE(end->cpu_ms, 250);
    });
}

TEST_F(worker_life_test, a_child_killed_for_memory_is_out_of_memory_though_the_handler_survives) {
    run([this]() -> task<void> {
        const auto target = function(R"(
import os
def handler(event, context):
    if event:
        return "well"
    if os.fork() == 0:
        held = []
        while True:
            held.append(bytearray(b"x" * (8 << 20)))
    os.wait()
    return "survived"
)");
        for (int i = 0; i < 5; ++i) {
            EXPECT_EQ(text_of(co_await invoke(target, "1")), "\"well\"");
            EXPECT_EQ(error_of(co_await invoke(target)), faas::error_type::out_of_memory);
        }
    });
}

TEST_F(worker_life_test, a_call_tells_the_memory_that_it_took_itself) {
    options_.dispatch.memory_budget_mb = faas::memory_mb_max;
    run([this]() -> task<void> {
        const auto target = function(R"(
def handler(event, context):
    return len(b"x" * (event << 20))
)",
                                     20'000, faas::memory_mb_max);
        for (const int taken_mb : {1, 60, 120, 180}) {
            const auto end = co_await invoke(target, concat(taken_mb));
            EXPECT_GE(end->memory_mb_peak, taken_mb);
        }
    });
}

TEST_F(worker_life_test, a_kill_by_the_policy_is_told_from_another_signal) {
    run([this]() -> task<void> {
        const auto target = function(R"(
import ctypes, os, signal
def handler(event, context):
    if event == "policy":
        ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))
    os.kill(os.getpid(), signal.SIGSEGV)
)");
        const auto policy = co_await invoke(target, "\"policy\"");
        EXPECT_EQ(error_of(policy), faas::error_type::policy_violation);
        EXPECT_EQ(policy->failure, faas::failure_kind::policy);
        EXPECT_EQ(error_of(co_await invoke(target, "\"crash\"")), faas::error_type::crashed);
    });
}

}  // namespace
}  // namespace hearth::test
