// Sandboxes that were made before anybody asked for them, but for Python.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/concat.h"
#include "harness.h"

namespace hearth::sandbox::testing {
namespace {

namespace fs = std::filesystem;

launch_options shell_options(std::uint32_t shells, std::uint32_t slots = 32) {
    auto options = default_options();
    options.zygote = zygote_mode::shared;
    options.parked = 0;
    options.shells = shells;
    options.slots = slots;
    return options;
}

std::vector<pid_t> sandboxed_processes(const std::string& instance) {
    std::vector<pid_t> found;
    const auto groups = instance_cgroups(instance);
    if (groups.empty()) {
        return found;
    }
    for (const auto& slot : fs::directory_iterator(groups.front())) {
        std::ifstream list(slot.path() / "cgroup.procs");
        for (pid_t process = 0; list >> process;) {
            found.push_back(process);
        }
    }
    return found;
}

TEST(shell, a_request_takes_one_that_was_there_before_it_and_finds_its_own_code) {
    const code_directory first({{"main.py", "def handler(event, context): return 'first'"}});
    const code_directory second({{"main.py", "import helper\nhandler = helper.answer"},
                                 {"helper.py", "def answer(event, context): return 'second'"}});
    const auto options = shell_options(2);
    sandbox_host host(options);
    host.await_shells(2);
    const auto before = sandboxed_processes(options.instance);
    EXPECT_EQ(before.size(), 2U);  // an init each
    auto one = host.create(first);
    auto two = host.create(second);
    EXPECT_EQ(one->created.way, start_way::zygote);
    EXPECT_NE(one->init_pid(), two->init_pid());
    for (const auto& each : {one.get(), two.get()}) {
        EXPECT_NE(std::ranges::find(before, each->init_pid()), before.end());
    }
    ASSERT_TRUE(one->init(default_parameters()).is(frame_type::ready));
    ASSERT_TRUE(two->init(default_parameters()).is(frame_type::ready));
    EXPECT_EQ(one->invoke("null").payload, "\"first\"");
    EXPECT_EQ(two->invoke("null").payload, "\"second\"");
    one->close_stream();
    two->close_stream();
    EXPECT_EQ(host.await_exit(*one).value, 0);
    host.disconnect();
}

TEST(shell, its_function_has_the_memory_limit_of_the_request_and_read_only_code) {
    const code_directory code(
        {{"main.py",
          "def handler(event, context):\n"
          "    try: open('/code/x', 'w')\n"
          "    except OSError as e: return [e.errno, len(bytearray(event << 20))]\n"}});
    sandbox_host host(shell_options(1));
    host.await_shells(1);
    create_packet wanted;
    wanted.memory_mb = 64;
    auto small = host.start(code, wanted);
    EXPECT_EQ(small->invoke("1").payload, "[30,1048576]");
    EXPECT_TRUE(small->invoke("100").ended());
    const auto exited = host.await_exit(*small);
    EXPECT_GE(exited.oom_kills, 1U);
    EXPECT_LE(exited.memory_peak_bytes, 64U << 20);
}

TEST(shell, requests_beyond_the_pool_and_of_other_sizes_get_sandboxes_of_their_own) {
    const code_directory code({{"main.py", "def handler(event, context): return 1"}});
    const auto options = shell_options(1);
    sandbox_host host(options);
    host.await_shells(1);
    const auto before = sandboxed_processes(options.instance);
    create_packet other_size;
    other_size.pids = 10;
    std::vector<std::unique_ptr<test_sandbox>> all;
    all.push_back(host.create(code, other_size));
    EXPECT_EQ(std::ranges::find(before, all[0]->init_pid()), before.end());
    for (int i = 0; i < 3; ++i) {
        all.push_back(host.create(code));
    }
    for (const auto& each : all) {
        EXPECT_EQ(each->created.way, start_way::zygote);
        EXPECT_TRUE(each->init(default_parameters()).is(frame_type::ready));
        each->close_stream();
    }
}

TEST(shell, they_give_up_their_slots_when_these_are_needed) {
    const code_directory code({{"main.py", "def handler(event, context): return 1"}});
    sandbox_host host(shell_options(2, 2));
    host.await_shells(2);
    create_packet other_size;
    other_size.pids = 10;
    auto first = host.create(code, other_size);
    auto second = host.create(code, other_size);
    std::unique_ptr<test_sandbox> third;
    const event refused = host.try_create(code, third);
    ASSERT_TRUE(std::holds_alternative<create_failed_packet>(refused));
    EXPECT_EQ(text_of(std::get<create_failed_packet>(refused).stage), "slots");
    for (const auto& each : {first.get(), second.get()}) {
        ASSERT_TRUE(each->init(default_parameters()).is(frame_type::ready));
        each->close_stream();
    }
}

TEST(shell, one_that_is_killed_is_noticed_and_replaced) {
    const code_directory code({{"main.py", "def handler(event, context): return 1"}});
    const auto options = shell_options(1);
    sandbox_host host(options);
    host.await_shells(1);
    const auto killed = sandboxed_processes(options.instance);
    ASSERT_EQ(killed.size(), 1U);
    ::kill(killed.front(), SIGKILL);
    ASSERT_TRUE(std::holds_alternative<pool_packet>(host.next_event().what));
    auto sandbox = host.create(code);
    EXPECT_NE(sandbox->init_pid(), killed.front());
    EXPECT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    sandbox->close_stream();
}

TEST(shell, nothing_is_left_of_them_after_the_socket_or_sandboxd_ends) {
    const auto options = shell_options(3);
    {
        sandbox_host host(options);
        host.await_shells(3);
        const auto processes = sandboxed_processes(options.instance);
        EXPECT_EQ(processes.size(), 3U);
        ASSERT_EQ(::kill(host.control().process(), SIGKILL), 0);
        for (const pid_t process : processes) {
            await_end(process);
        }
        ASSERT_EQ(::waitpid(host.control().process(), nullptr, 0), host.control().process());
    }
    sandbox_host again(options);
    again.await_shells(3);
    const auto processes = sandboxed_processes(options.instance);
    again.disconnect();
    for (const pid_t process : processes) {
        EXPECT_FALSE(process_exists(process));
    }
    EXPECT_TRUE(instance_cgroups(options.instance).empty());
}

}  // namespace
}  // namespace hearth::sandbox::testing
