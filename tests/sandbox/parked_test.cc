// Sandboxes that were made before anybody asked for them.

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/concat.h"
#include "harness.h"

namespace hearth::sandbox::testing {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::string> small_function{
    {"main.py", "def handler(event, context): return 1"}};

// Without shells beside them, so that nothing more is said once all are parked.
launch_options parking_options(std::uint32_t parked, std::uint32_t slots = 32) {
    auto options = default_options();
    options.parked = parked;
    options.shells = 0;
    options.slots = slots;
    return options;
}

// Every process of the instance's sandboxes, as the host sees them.
std::vector<pid_t> sandboxed_processes(const std::string& instance) {
    std::vector<pid_t> found;
    for (const std::string& path : instance_cgroups(instance)) {
        for (const auto& slot : fs::directory_iterator(path)) {
            std::ifstream list(slot.path() / "cgroup.procs");
            pid_t process = 0;
            while (list >> process) {
                found.push_back(process);
            }
        }
        if (!found.empty()) {
            break;
        }
    }
    return found;
}

TEST(parked, a_request_is_served_by_a_parked_sandbox_with_its_own_code) {
    const code_directory first({{"main.py", "def handler(event, context): return 'first'"}});
    const code_directory second({{"main.py", "import helper\nhandler = helper.answer"},
                                 {"helper.py", "def answer(event, context): return 'second'"}});
    sandbox_host host(parking_options(2));
    host.await_parked(2);
    auto one = host.create(first);
    auto two = host.create(second);
    EXPECT_EQ(one->created.way, start_way::parked);
    EXPECT_EQ(two->created.way, start_way::parked);
    ASSERT_TRUE(one->init(default_parameters()).is(frame_type::ready));
    ASSERT_TRUE(two->init(default_parameters()).is(frame_type::ready));
    EXPECT_EQ(one->invoke("null").payload, "\"first\"");
    EXPECT_EQ(two->invoke("null").payload, "\"second\"");
    one->close_stream();
    two->close_stream();
    EXPECT_EQ(host.await_exit(*one).value, 0);
    host.disconnect();
}

TEST(parked, the_code_of_a_parked_sandbox_is_read_only_and_programs_in_it_run) {
    const code_directory code(
        {{"main.py",
          "import errno, os, subprocess\n"
          "def attempt(path, flags):\n"
          "    try: os.close(os.open(path, flags)); return 'ok'\n"
          "    except OSError as e: return errno.errorcode[e.errno]\n"
          "def handler(event, context):\n"
          "    return [attempt('/code/main.py', os.O_RDONLY),\n"
          "            attempt('/code/main.py', os.O_WRONLY | os.O_TRUNC),\n"
          "            attempt('/code/x', os.O_CREAT | os.O_WRONLY),\n"
          "            os.access('/etc/passwd', os.X_OK),\n"
          "            subprocess.run(['/code/tool'], capture_output=True).stdout.decode(),\n"
          "            open('/proc/self/mounts').read().count(' /code ')]\n"},
         {"tool", "#!/bin/sh\necho ran\n"}});
    fs::permissions(fs::path(code.path()) / "tool", fs::perms(0755));
    sandbox_host host(parking_options(1));
    host.await_parked(1);
    auto sandbox = host.create(code);
    ASSERT_EQ(sandbox->created.way, start_way::parked);
    ASSERT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    EXPECT_EQ(sandbox->invoke("null").payload, R"(["ok","EROFS","EROFS",false,"ran\n",1])");
    sandbox->close_stream();
}

TEST(parked, a_parked_sandbox_takes_on_the_memory_limit_of_its_request) {
    const code_directory code({{"main.py",
                                "def handler(event, context):\n"
                                "    return len(bytearray(event << 20))\n"}});
    sandbox_host host(parking_options(2));
    host.await_parked(2);
    create_packet wanted;
    wanted.memory_mb = 400;
    auto large = host.create(code, wanted);
    wanted.memory_mb = 64;
    auto small = host.create(code, wanted);
    ASSERT_EQ(large->created.way, start_way::parked);
    ASSERT_EQ(small->created.way, start_way::parked);
    ASSERT_TRUE(large->init(default_parameters()).is(frame_type::ready));
    ASSERT_TRUE(small->init(default_parameters()).is(frame_type::ready));
    EXPECT_TRUE(large->invoke("300").is(frame_type::result));
    EXPECT_TRUE(small->invoke("100").ended());
    const auto exited = host.await_exit(*small);
    EXPECT_GE(exited.oom_kills, 1U);
    EXPECT_LE(exited.memory_peak_bytes, 64U << 20);
    EXPECT_TRUE(large->invoke("1000").ended());
    EXPECT_GE(host.await_exit(*large).oom_kills, 1U);
}

TEST(parked, a_request_with_other_sizes_gets_a_sandbox_of_its_own) {
    const code_directory code(small_function);
    sandbox_host host(parking_options(1));
    host.await_parked(1);
    for (const auto& change : {+[](create_packet& wanted) { wanted.pids = 10; },
                               +[](create_packet& wanted) { wanted.tmp_bytes = 1 << 20; },
                               +[](create_packet& wanted) {
                                   wanted.shm_bytes = 1 << 20;
                               }}) {
        create_packet wanted;
        change(wanted);
        auto sandbox = host.create(code, wanted);
        EXPECT_NE(sandbox->created.way, start_way::parked);
        EXPECT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
        sandbox->close_stream();
    }
}

TEST(parked, one_that_is_killed_is_noticed_and_replaced) {
    const code_directory code(small_function);
    const auto options = parking_options(1);
    sandbox_host host(options);
    host.await_parked(1);
    const auto processes = sandboxed_processes(options.instance);
    ASSERT_FALSE(processes.empty());
    for (const pid_t process : processes) {
        ::kill(process, SIGKILL);
    }
    std::uint32_t waiting = 0;
    while (waiting == 0) {
        const received_event next = host.next_event();
        ASSERT_TRUE(std::holds_alternative<pool_packet>(next.what));
        waiting = std::get<pool_packet>(next.what).parked;
    }
    auto sandbox = host.create(code);
    EXPECT_EQ(sandbox->created.way, start_way::parked);
    EXPECT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    sandbox->close_stream();
}

TEST(parked, they_give_up_their_slots_when_these_are_needed) {
    const code_directory code(small_function);
    sandbox_host host(parking_options(2, 2));
    host.await_parked(2);
    create_packet other_size;
    other_size.pids = 10;
    auto first = host.create(code, other_size);
    EXPECT_NE(first->created.way, start_way::parked);
    auto second = host.create(code);
    EXPECT_EQ(second->created.way, start_way::parked);
    std::unique_ptr<test_sandbox> third;
    const event refused = host.try_create(code, third);
    ASSERT_TRUE(std::holds_alternative<create_failed_packet>(refused));
    EXPECT_EQ(text_of(std::get<create_failed_packet>(refused).stage), "slots");
    ASSERT_TRUE(first->init(default_parameters()).is(frame_type::ready));
    ASSERT_TRUE(second->init(default_parameters()).is(frame_type::ready));
    first->close_stream();
    second->close_stream();
}

TEST(parked, a_request_that_waits_for_a_slot_can_be_killed) {
    const code_directory code(small_function);
    sandbox_host host(parking_options(1, 1));
    host.await_parked(1);
    create_packet wanted;
    wanted.header.sandbox_id = 77;
    wanted.pids = 10;
    ASSERT_TRUE(host.control().create(wanted, code.descriptor()).has_value());
    ASSERT_TRUE(host.control().kill(77).has_value());
    // Whether the kill came before the slot was free or after it, there is one answer, and an end.
    const auto next_answer = [&host] {
        received_event next = host.next_event();
        while (std::holds_alternative<pool_packet>(next.what)) {
            next = host.next_event();
        }
        return next;
    };
    received_event next = next_answer();
    if (std::holds_alternative<created_packet>(next.what)) {
        next = next_answer();
        ASSERT_TRUE(std::holds_alternative<exited_packet>(next.what));
    } else {
        ASSERT_TRUE(std::holds_alternative<create_failed_packet>(next.what));
        EXPECT_EQ(text_of(std::get<create_failed_packet>(next.what).stage), "killed");
    }
    host.disconnect();
}

TEST(parked, nothing_is_left_after_the_end_of_the_socket) {
    const auto options = parking_options(3);
    sandbox_host host(options);
    host.await_parked(3);
    const auto processes = sandboxed_processes(options.instance);
    EXPECT_GE(processes.size(), 6U);
    host.disconnect();
    for (const pid_t process : processes) {
        EXPECT_FALSE(process_exists(process));
    }
    EXPECT_TRUE(instance_cgroups(options.instance).empty());
}

TEST(parked, killing_sandboxd_kills_the_parked_ones) {
    const auto options = parking_options(3);
    std::vector<pid_t> processes;
    {
        sandbox_host host(options);
        host.await_parked(3);
        processes = sandboxed_processes(options.instance);
        ASSERT_EQ(::kill(host.control().process(), SIGKILL), 0);
        for (const pid_t process : processes) {
            await_end(process);
        }
        ASSERT_EQ(::waitpid(host.control().process(), nullptr, 0), host.control().process());
    }
    sandbox_host again(options);
    again.await_parked(3);
    again.disconnect();
    EXPECT_TRUE(instance_cgroups(options.instance).empty());
}

}  // namespace
}  // namespace hearth::sandbox::testing
