// Hearth-sandboxd itself: start, end, restart, and what a broken worker gets.

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "harness.h"
#include "sandbox/cgroup.h"
#include "sandbox/packet_socket.h"

namespace hearth::sandbox::testing {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::string> idle_function{
    {"main.py", "def handler(event, context): return 1"}};

TEST(life_cycle, hello_tells_the_slots_and_that_limits_are_enforced) {
    sandbox_host host;
    const hello_packet& hello = host.control().hello();
    EXPECT_EQ(hello.slots, 32U);
    EXPECT_NE(hello.form, cgroup_form::none);
    EXPECT_EQ(hello.limits_memory, 1);
    EXPECT_EQ(hello.limits_pids, 1);
    host.disconnect();
}

TEST(life_cycle, all_sandboxes_together_have_the_cpu_weight_of_a_process_on_each_processor) {
    const auto options = default_options();
    sandbox_host host(options);
    std::size_t weighed = 0;
    for (const std::string& path : instance_cgroups(options.instance)) {
        for (const auto& [file, weights] :
             {std::pair{"/cpu.shares", cpu_weights_v1}, std::pair{"/cpu.weight", cpu_weights_v2}}) {
            if (std::ifstream weight(path + file); weight) {
                std::uint64_t found = 0;
                weight >> found;
                EXPECT_EQ(found, instance_cpu_weight(weights, std::thread::hardware_concurrency()));
                ++weighed;
            }
        }
    }
    if (weighed == 0) {
        GTEST_SKIP() << "NOT RUN: no cgroup here rules processors";
    }
    host.disconnect();
}

TEST(life_cycle, end_of_file_kills_every_sandbox_and_leaves_no_cgroup) {
    const code_directory code(idle_function);
    const auto options = default_options();
    sandbox_host host(options);
    std::vector<std::unique_ptr<test_sandbox>> sandboxes;
    for (int i = 0; i < 5; ++i) {
        sandboxes.push_back(host.create(code));
        ASSERT_TRUE(sandboxes.back()->init(default_parameters()).is(frame_type::ready));
    }
    EXPECT_NE(instance_cgroups(options.instance).empty(), has_limits());
    host.disconnect();
    for (const auto& each : sandboxes) {
        EXPECT_FALSE(process_exists(each->init_pid()));
    }
    EXPECT_TRUE(instance_cgroups(options.instance).empty());
}

TEST(life_cycle, killing_sandboxd_kills_every_sandbox_and_a_restart_removes_what_is_left) {
    const code_directory code(idle_function);
    const auto options = default_options();
    {
        sandbox_host host(options);
        auto sandbox = host.start(code);
        ASSERT_EQ(::kill(host.control().process(), SIGKILL), 0);
        EXPECT_TRUE(sandbox->receive().ended());
        await_end(sandbox->init_pid());
        ASSERT_EQ(::waitpid(host.control().process(), nullptr, 0), host.control().process());
        EXPECT_NE(instance_cgroups(options.instance).empty(), has_limits());
    }
    sandbox_host again(options);
    for (const std::string& path : instance_cgroups(options.instance)) {
        for (const auto& entry : fs::directory_iterator(path)) {
            EXPECT_FALSE(entry.is_directory()) << entry.path();
        }
    }
    auto sandbox = again.create(code);
    EXPECT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    sandbox->close_stream();
    again.disconnect();
    EXPECT_TRUE(instance_cgroups(options.instance).empty());
}

TEST(life_cycle, a_megabyte_fits_into_the_stream_to_a_sandbox_at_once) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "NOT RUN: an ordinary user's socket holds what net.core.wmem_max allows";
    }
    const code_directory code(idle_function);
    sandbox_host host;
    auto sandbox = host.create(code);
    int bytes = 0;
    socklen_t size = sizeof bytes;
    ASSERT_EQ(::getsockopt(sandbox->stream(), SOL_SOCKET, SO_SNDBUF, &bytes, &size), 0);
    // Twice what fits: the kernel counts its own records too.
    EXPECT_GE(bytes, 2 << 20);
}

TEST(life_cycle, signals_to_the_process_group_do_not_end_sandboxd) {
    const code_directory code(idle_function);
    sandbox_host host;
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        ASSERT_EQ(::kill(host.control().process(), signal), 0);
    }
    auto sandbox = host.start(code);
    sandbox->close_stream();
    host.disconnect();
}

TEST(life_cycle, sandboxd_gets_nothing_of_its_workers_environment) {
    ASSERT_EQ(::setenv("HEARTH_TEST_SECRET", "s3cret", 1), 0);
    sandbox_host host;
    ::unsetenv("HEARTH_TEST_SECRET");
    std::ifstream file(concat("/proc/", host.control().process(), "/environ"));
    const std::string environment(std::istreambuf_iterator<char>(file), {});
    EXPECT_TRUE(environment.contains("PATH="));
    EXPECT_FALSE(environment.contains("s3cret"));
    host.disconnect();
}

TEST(life_cycle, sandboxes_do_not_inherit_ignored_signals) {
    EXPECT_EQ(result_of("import signal\ndef handler(event, context):\n"
                        "    return [signal.getsignal(s) == signal.SIG_DFL for s in\n"
                        "            (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)]\n"),
              "[true,true,true]");
}

TEST(life_cycle, when_every_slot_is_taken_a_create_fails_until_one_is_free) {
    const code_directory code(idle_function);
    auto options = default_options();
    options.slots = 2;
    sandbox_host host(options);
    auto first = host.create(code);
    auto second = host.create(code);
    std::unique_ptr<test_sandbox> third;
    const event refused = host.try_create(code, third);
    ASSERT_TRUE(std::holds_alternative<create_failed_packet>(refused));
    EXPECT_EQ(text_of(std::get<create_failed_packet>(refused).stage), "slots");
    host.kill(*first);
    (void)host.await_exit(*first);
    auto fourth = host.start(code);
    fourth->close_stream();
    second->close_stream();
}

TEST(life_cycle, many_sandboxes_at_once_and_in_turn_leave_nothing) {
    const code_directory code(idle_function);
    const auto options = default_options();
    sandbox_host host(options);
    const auto descriptors_of = [&] {
        const fs::directory_iterator all(concat("/proc/", host.control().process(), "/fd"));
        return std::distance(fs::begin(all), fs::end(all));
    };
    const auto before = descriptors_of();
    for (int round = 0; round < 5; ++round) {
        std::vector<std::unique_ptr<test_sandbox>> sandboxes;
        for (int i = 0; i < 20; ++i) {
            sandboxes.push_back(host.create(code));
        }
        for (const auto& each : sandboxes) {
            ASSERT_TRUE(each->init(default_parameters()).is(frame_type::ready));
            each->close_stream();
        }
        for (const auto& each : sandboxes) {
            EXPECT_EQ(host.await_exit(*each).value, 0);
        }
    }
    EXPECT_EQ(descriptors_of(), before);
    host.disconnect();
}

TEST(life_cycle, a_missing_python_is_a_failed_start_with_the_remedy) {
    auto options = default_options();
    options.python = "/usr/bin/no-such-python";
    const auto launched = client::launch(options, after(seconds(30)));
    ASSERT_FALSE(launched.has_value());
    EXPECT_EQ(launched.error().code, errc::unavailable);
    EXPECT_NE(launched.error().message.find("apt-get install python3"), std::string::npos);
}

TEST(life_cycle, a_missing_program_is_an_error_and_not_a_hang) {
    auto options = default_options();
    options.program = "/usr/bin/no-such-sandboxd";
    const auto launched = client::launch(options, after(seconds(30)));
    ASSERT_FALSE(launched.has_value());
    EXPECT_EQ(launched.error().code, errc::unavailable);
}

TEST(life_cycle, a_runtime_directory_inside_tmp_works) {
    const std::string copy = concat("/tmp/hearth-runtime-", ::getpid());
    fs::copy(default_options().runtime_dir, copy);
    auto options = default_options();
    options.runtime_dir = copy;
    {
        const code_directory code(idle_function);
        sandbox_host host(options);
        auto sandbox = host.start(code);
        EXPECT_EQ(sandbox->invoke("null").payload, "1");
        sandbox->close_stream();
        host.disconnect();
    }
    fs::remove_all(copy);
}

class hostile_worker {
public:
    hostile_worker() : host_(options_) {}

    void send(std::span<const std::byte> bytes, std::span<const int> descriptors = {}) {
        const auto sent = send_packet(host_.control().descriptor(), bytes, descriptors);
        EXPECT_TRUE(sent.has_value());
    }
    // Sandboxd has ended with an error and left nothing.
    void expect_end() {
        host_.disconnect(1);
        EXPECT_TRUE(instance_cgroups(options_.instance).empty());
    }
    sandbox_host& host() { return host_; }

private:
    launch_options options_ = default_options();
    sandbox_host host_;
};

TEST(life_cycle, packets_that_no_worker_sends_end_sandboxd) {
    kill_packet good;
    good.header.sandbox_id = 1;
    {
        hostile_worker worker;
        worker.send(bytes_of(good).first(3));
        worker.expect_end();
    }
    {
        hostile_worker worker;
        kill_packet wrong = good;
        wrong.header.version = 99;
        worker.send(bytes_of(wrong));
        worker.expect_end();
    }
    {
        hostile_worker worker;
        worker.send(
            bytes_of(create_packet{.header = {.type = packet_type::create, .sandbox_id = 1}}));
        worker.expect_end();
    }
    {
        hostile_worker worker;
        const std::array<std::byte, 4096> longer{};
        worker.send(longer);
        worker.expect_end();
    }
}

TEST(life_cycle, descriptors_of_the_wrong_kind_end_sandboxd) {
    hostile_worker worker;
    const unique_fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    create_packet wanted;
    wanted.header.sandbox_id = 1;
    const std::array descriptors{null.get()};
    worker.send(bytes_of(wanted), descriptors);
    worker.expect_end();
}

TEST(life_cycle, a_protocol_error_kills_the_sandboxes_that_live) {
    const code_directory code(idle_function);
    hostile_worker worker;
    auto sandbox = worker.host().create(code);
    ASSERT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    const std::array<std::byte, 8> garbage{};
    worker.send(garbage);
    EXPECT_TRUE(sandbox->receive().ended());
    worker.expect_end();
    EXPECT_FALSE(process_exists(sandbox->init_pid()));
}

TEST(life_cycle, a_worker_that_does_not_read_does_not_block_sandboxd) {
    const code_directory code(idle_function);
    sandbox_host host;
    create_packet wanted;
    // Requests beyond the slots are answered at once; nobody reads the answers.
    for (std::uint64_t id = 1; id <= 2'000; ++id) {
        wanted.header.sandbox_id = id;
        auto sent = host.control().create(wanted, code.descriptor());
        if (!sent) {
            EXPECT_EQ(sent.error().code, errc::limit_exceeded);
            break;
        }
    }
    host.disconnect();
}

}  // namespace
}  // namespace hearth::sandbox::testing
