// How a sandbox ends, and what the worker is told.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "base/concat.h"
#include "harness.h"

namespace hearth::sandbox::testing {
namespace {

struct ending {
    answer last;
    exited_packet exited{};
};

// Runs a handler that does not come back.
ending end_by(const std::string& body, create_packet wanted = {}) {
    const code_directory code({{"main.py",
                                "import os, sys, ctypes, signal, threading, subprocess\n"
                                "def handler(event, context):\n    " +
                                    body + "\n"}});
    sandbox_host host;
    auto sandbox = host.start(code, wanted);
    ending end;
    end.last = sandbox->invoke("null");
    end.exited = host.await_exit(*sandbox);
    EXPECT_FALSE(process_exists(sandbox->init_pid()));
    host.disconnect();
    return end;
}

TEST(outcome, sys_exit_is_an_error_and_ends_the_sandbox_with_its_code) {
    const auto end = end_by("sys.exit(5)");
    EXPECT_EQ(member_of(end.last, "errorType"), "Runtime.ExitError");
    EXPECT_EQ(end.exited.kind, exit_kind::code);
    EXPECT_EQ(end.exited.value, 5);
}

TEST(outcome, os_exit_ends_the_stream_with_its_code) {
    const auto end = end_by("os._exit(3)");
    EXPECT_TRUE(end.last.ended());
    EXPECT_EQ(end.exited.kind, exit_kind::code);
    EXPECT_EQ(end.exited.value, 3);
    EXPECT_EQ(end.exited.killed_on_request, 0);
}

TEST(outcome, abort_and_a_bad_access_are_told_by_their_signals) {
    const auto aborted = end_by("os.abort()");
    EXPECT_EQ(aborted.exited.kind, exit_kind::signal);
    EXPECT_EQ(aborted.exited.value, SIGABRT);
    const auto crashed = end_by("ctypes.string_at(0)");
    EXPECT_EQ(crashed.exited.kind, exit_kind::signal);
    EXPECT_EQ(crashed.exited.value, SIGSEGV);
    EXPECT_EQ(crashed.exited.oom_kills, 0U);
}

TEST(outcome, killing_every_process_from_inside_is_an_end_by_signal) {
    const auto end = end_by(
        "subprocess.Popen(['sleep', '100'])\n"
        "    os.kill(-1, signal.SIGKILL)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)");
    EXPECT_EQ(end.exited.kind, exit_kind::signal);
    EXPECT_EQ(end.exited.value, SIGKILL);
}

TEST(outcome, an_endless_loop_ends_by_a_kill_packet) {
    for (const char* body :
         {"while True: pass", "os.kill(os.getpid(), signal.SIGSTOP)",
          "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n    while True: pass",
          "[subprocess.Popen(['sleep', '1000'], start_new_session=True) for _ in range(5)]\n"
          "    threading.Event().wait()"}) {
        const code_directory code(
            {{"main.py", concat("import os, signal, subprocess, threading\n"
                                "def handler(event, context):\n    print('go')\n    ",
                                body, "\n")}});
        sandbox_host host;
        auto sandbox = host.start(code);
        sandbox->send_invoke("null");
        host.kill(*sandbox);
        const auto exited = host.await_exit(*sandbox);
        EXPECT_EQ(exited.kind, exit_kind::signal) << body;
        EXPECT_EQ(exited.value, SIGKILL) << body;
        EXPECT_EQ(exited.killed_on_request, 1) << body;
        EXPECT_TRUE(sandbox->receive().ended());
        host.disconnect();
    }
}

TEST(outcome, a_gigabyte_of_output_arrives_and_so_does_the_result) {
    const code_directory code({{"main.py",
                                "import sys\ndef handler(event, context):\n"
                                "    block = 'x' * (1 << 20)\n"
                                "    for _ in range(1024): sys.stdout.write(block)\n"
                                "    return 'done'\n"}});
    sandbox_host host;
    auto sandbox = host.start(code);
    EXPECT_EQ(sandbox->invoke("null").payload, "\"done\"");
    sandbox->close_stream();
    (void)sandbox->output().finish();
    EXPECT_EQ(sandbox->output().count(), 1ULL << 30);
}

TEST(outcome, a_memory_bomb_kills_only_its_sandbox_and_is_told_as_such) {
    if (!has_limits()) {
        GTEST_SKIP() << "this user may rule no cgroup";
    }
    const code_directory bomb({{"main.py",
                                "def handler(event, context):\n"
                                "    kept = []\n"
                                "    while True: kept.append(bytearray(b'x') * (8 << 20))\n"}});
    const code_directory calm({{"main.py", "def handler(event, context): return 'calm'"}});
    sandbox_host host;
    auto other = host.start(calm);
    auto sandbox = host.start(bomb);
    EXPECT_TRUE(sandbox->invoke("null").ended());
    const auto exited = host.await_exit(*sandbox);
    EXPECT_EQ(exited.kind, exit_kind::signal);
    EXPECT_EQ(exited.value, SIGKILL);
    EXPECT_GE(exited.oom_kills, 1U);
    EXPECT_GT(exited.memory_peak_bytes, 100ULL << 20);
    EXPECT_LE(exited.memory_peak_bytes, 128ULL << 20);
    EXPECT_EQ(other->invoke("null").payload, "\"calm\"");
    other->close_stream();
}

TEST(outcome, a_memory_bomb_in_tmp_counts_against_the_sandbox) {
    if (!has_limits()) {
        GTEST_SKIP() << "this user may rule no cgroup";
    }
    const auto end =
        end_by("f = open('/tmp/x', 'wb')\n    while True: f.write(b'x' * (1 << 20)); f.flush()");
    EXPECT_GE(end.exited.oom_kills, 1U);
}

TEST(outcome, a_bomb_in_a_child_process_ends_the_whole_sandbox) {
    if (!has_limits()) {
        GTEST_SKIP() << "this user may rule no cgroup";
    }
    const auto end = end_by(
        "subprocess.run([sys.executable, '-c', 'x = bytearray(b\"x\") * (1 << 30)'])\n"
        "    threading.Event().wait()");
    EXPECT_TRUE(end.last.ended());
    EXPECT_GE(end.exited.oom_kills, 1U);
}

TEST(outcome, a_fork_bomb_stops_at_the_pids_limit) {
    const std::string result = run_function({{"main.py",
                                              "import os, signal\n"
                                              "def handler(event, context):\n"
                                              "    n = 0\n"
                                              "    try:\n"
                                              "        while True:\n"
                                              "            if os.fork() == 0: signal.pause()\n"
                                              "            n += 1\n"
                                              "    except OSError as e:\n"
                                              "        return [n, e.strerror]\n"}})
                                   .result.payload;
    // Without a cgroup it is RLIMIT_NPROC, which is one more (rlimits.cc).
    const unsigned forks = has_limits() ? pids_default - 1 : pids_default;
    EXPECT_EQ(result, concat("[", forks, R"(,"Resource temporarily unavailable"])"));
}

TEST(outcome, a_sandbox_full_of_processes_leaves_others_theirs) {
    const code_directory code({{"main.py",
                                "import os, signal\n"
                                "def handler(event, context):\n"
                                "    n = 0\n"
                                "    try:\n"
                                "        while n < event:\n"
                                "            if os.fork() == 0: signal.pause()\n"
                                "            n += 1\n"
                                "    except OSError:\n"
                                "        pass\n"
                                "    return n\n"}});
    sandbox_host host;
    auto full = host.start(code);
    auto other = host.start(code);
    EXPECT_NE(full->invoke("1000").payload, "1000");
    EXPECT_EQ(other->invoke("40").payload, "40");
    full->close_stream();
    other->close_stream();
}

TEST(outcome, a_sandbox_gets_no_more_of_a_processor_than_its_share) {
    const code_directory code({{"main.py",
                                "import time\n"
                                "def handler(event, context):\n"
                                "    began, used = time.monotonic(), time.process_time()\n"
                                "    while time.process_time() - used < 0.2:\n"
                                "        pass\n"
                                "    took = time.monotonic() - began\n"
                                "    return (time.process_time() - used) / took < 0.5\n"}});
    sandbox_host host;
    if (host.control().hello().limits_cpu == 0) {
        GTEST_SKIP() << "this host has no controller for processors";
    }
    create_packet wanted;
    wanted.cpu_millis = 200;
    auto sandbox = host.start(code, wanted);
    EXPECT_EQ(sandbox->invoke("null").payload, "true");
    host.kill(*sandbox);
    EXPECT_GE(host.await_exit(*sandbox).cpu_usec, 200'000U);
    host.disconnect();
}

TEST(outcome, the_high_water_mark_can_be_read_while_the_sandbox_lives) {
    if (!has_limits()) {
        GTEST_SKIP() << "this user may rule no cgroup";
    }
    const code_directory code({{"main.py",
                                "def handler(event, context):\n"
                                "    return len(bytearray(b'x') * (50 << 20))\n"}});
    sandbox_host host;
    auto sandbox = host.start(code);
    ASSERT_TRUE(sandbox->invoke("null").is(frame_type::result));
    EXPECT_GT(sandbox->shown.read(gauge::memory_peak), 50ULL << 20);
    sandbox->close_stream();
    EXPECT_GT(host.await_exit(*sandbox).cpu_usec, 0U);
}

TEST(outcome, garbage_on_the_control_stream_is_refused_by_the_frame_check) {
    const code_directory code({{"main.py",
                                "import os, threading\n"
                                "def handler(event, context):\n"
                                "    os.write(3, b'\\xff' * 64)\n"
                                "    threading.Event().wait()\n"}});
    sandbox_host host;
    auto sandbox = host.start(code);
    sandbox->send_invoke("null");
    frame_header_bytes bytes{};
    ASSERT_EQ(::read(sandbox->stream(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
    EXPECT_FALSE(decode_answer_header(bytes).has_value());
    host.kill(*sandbox);
    EXPECT_EQ(host.await_exit(*sandbox).value, SIGKILL);
}

TEST(outcome, a_process_that_outlives_its_invocation_dies_with_the_sandbox) {
    const code_directory code({{"main.py",
                                "import subprocess\n"
                                "def handler(event, context):\n"
                                "    subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
                                "    return 1\n"}});
    sandbox_host host;
    auto sandbox = host.start(code);
    EXPECT_EQ(sandbox->invoke("null").payload, "1");
    sandbox->close_stream();
    EXPECT_EQ(host.await_exit(*sandbox).value, 0);
    host.disconnect();
}

}  // namespace
}  // namespace hearth::sandbox::testing
