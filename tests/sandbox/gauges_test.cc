#include "sandbox/gauges.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/sandbox/harness.h"

namespace hearth::sandbox::testing {
namespace {

TEST(gauges, numbers_are_found_in_the_files_of_both_versions) {
    EXPECT_EQ(gauge_number(gauge::memory_peak, "52428800\n"), 52'428'800U);
    EXPECT_EQ(gauge_number(gauge::tasks, "2\n"), 2U);
    EXPECT_EQ(gauge_number(gauge::processes, "711\n712\n"), 2U);
    EXPECT_EQ(gauge_number(gauge::processes, ""), 0U);
    EXPECT_EQ(gauge_number(gauge::cpu_time, "usage_usec 1234\nuser_usec 1000\n"), 1234U);
    EXPECT_EQ(gauge_number(gauge::memory_events, "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
              3U);
    EXPECT_EQ(gauge_number(gauge::memory_events, "low 0\noom 5\noom_kill 2\noom_group_kill 1\n"),
              2U);
    EXPECT_EQ(gauge_number(gauge::memory_stat, "cache 900\nrss 100\nrss_huge 64\nshmem 20\n"),
              120U);
    EXPECT_EQ(gauge_number(gauge::memory_stat, "anon 7\nfile 900\nanon_thp 64\nshmem 20\n"), 27U);
}

TEST(gauges, what_is_not_a_number_is_zero) {
    for (std::uint8_t i = 0; i < gauge_count; ++i) {
        EXPECT_EQ(gauge_number(gauge{i}, "max"), 0U);
        EXPECT_EQ(gauge_number(gauge{i}, "oom_kill"), 0U);
    }
}

const std::string starting = R"(
import subprocess, threading
stop = threading.Event()
def handler(event, context):
    if event == "thread":
        threading.Thread(target=stop.wait, daemon=True).start()
    if event == "process":
        subprocess.Popen(["/usr/bin/sleep", "1000"])
    if event == "file":
        stop.held = [open("/dev/null") for _ in range(100)]
    if event == "burn":
        sum(range(3_000_000))
    return event
)";

TEST(gauges, threads_processes_files_and_time_of_a_sandbox_are_seen_from_outside) {
    const code_directory code({{"main.py", starting}});
    sandbox_host host;
    auto sandbox = host.start(code);
    const gauges& shown = sandbox->shown;
    EXPECT_EQ(shown.read(gauge::tasks), 2U) << "init and Python";
    EXPECT_EQ(shown.read(gauge::processes), 2U);
    ASSERT_TRUE(sandbox->invoke("\"thread\"").is(frame_type::result));
    EXPECT_EQ(shown.read(gauge::tasks), 3U);
    EXPECT_EQ(shown.read(gauge::processes), 2U);
    ASSERT_TRUE(sandbox->invoke("\"process\"").is(frame_type::result));
    EXPECT_EQ(shown.read(gauge::tasks), 4U);
    EXPECT_EQ(shown.read(gauge::processes), 3U);
    if (const auto before = shown.open_files()) {
        ASSERT_TRUE(sandbox->invoke("\"file\"").is(frame_type::result));
        EXPECT_GE(shown.open_files(), *before + 100);
    }
    const auto idle = shown.read(gauge::cpu_time);
    ASSERT_TRUE(sandbox->invoke("\"burn\"").is(frame_type::result));
    EXPECT_GT(shown.read(gauge::cpu_time), idle);
    EXPECT_GT(shown.read(gauge::memory_stat), 1U << 20);
    EXPECT_EQ(shown.read(gauge::memory_events), 0U);
}

TEST(gauges, a_frozen_sandbox_answers_once_it_is_thawed) {
    const code_directory code({{"main.py", starting}});
    sandbox_host host;
    auto sandbox = host.start(code);
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(sandbox->shown.set_frozen(true));
        ASSERT_TRUE(sandbox->shown.set_frozen(false));
        ASSERT_TRUE(sandbox->invoke("1").is(frame_type::result));
    }
}

TEST(gauges, a_frozen_sandbox_can_be_killed_and_thaws_no_more) {
    const code_directory code({{"main.py", starting}});
    sandbox_host host;
    auto sandbox = host.start(code);
    ASSERT_TRUE(sandbox->shown.set_frozen(true));
    host.kill(*sandbox);
    EXPECT_EQ(host.await_exit(*sandbox).killed_on_request, 1);
    const auto thawed = sandbox->shown.set_frozen(false);
    ASSERT_FALSE(thawed);
    EXPECT_EQ(thawed.error().code, errc::closed);
    EXPECT_EQ(sandbox->shown.read(gauge::tasks), std::nullopt);
}

TEST(gauges, a_slot_is_not_frozen_for_the_one_that_comes_after) {
    const code_directory code({{"main.py", starting}});
    launch_options options = default_options();
    options.slots = 1;
    options.parked = 0;
    sandbox_host host(options);
    for (int i = 0; i < 3; ++i) {
        auto sandbox = host.start(code);
        ASSERT_TRUE(sandbox->invoke("1").is(frame_type::result));
        ASSERT_TRUE(sandbox->shown.set_frozen(true));
        host.kill(*sandbox);
        EXPECT_EQ(host.await_exit(*sandbox).killed_on_request, 1);
    }
}

}  // namespace
}  // namespace hearth::sandbox::testing
