// Sandboxes whose Python was forked.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

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

launch_options zygote_options(std::uint32_t parked = 0) {
    auto options = default_options();
    options.zygote = true;
    options.parked = parked;
    options.shells = 0;
    return options;
}

std::string status_field(pid_t process, std::string_view name) {
    std::ifstream status(concat("/proc/", process, "/status"));
    std::string line;
    while (std::getline(status, line)) {
        if (line.starts_with(name)) {
            return line.substr(line.find_first_not_of(" \t", name.size()));
        }
    }
    return {};
}

std::vector<pid_t> children_of(pid_t parent) {
    std::ifstream list(concat("/proc/", parent, "/task/", parent, "/children"));
    std::vector<pid_t> found;
    pid_t child = 0;
    while (list >> child) {
        found.push_back(child);
    }
    return found;
}

std::vector<pid_t> zygotes_of(sandbox_host& host) {
    auto found = children_of(host.control().process());
    std::erase_if(found, [](pid_t each) { return status_field(each, "Name:") != "hearth-zygote"; });
    return found;
}

std::size_t descriptors_of(pid_t process) {
    const fs::directory_iterator all(concat("/proc/", process, "/fd"));
    return static_cast<std::size_t>(std::distance(fs::begin(all), fs::end(all)));
}

TEST(zygote, python_is_forked_and_serves_as_any_other) {
    const code_directory code({{"main.py",
                                "import sys\n"
                                "def handler(event, context):\n"
                                "    print('hello')\n"
                                "    return [event, __name__, sys.executable, sys.path[0],\n"
                                "            sys.flags.isolated, sys.flags.no_site,\n"
                                "            sys.modules['__main__'].__file__]\n"}});
    sandbox_host host(zygote_options());
    auto sandbox = host.create(code);
    EXPECT_EQ(sandbox->created.way, start_way::zygote);
    ASSERT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    EXPECT_EQ(sandbox->invoke("7").payload,
              R"([7,"main","/usr/bin/python3","/code",1,1,"/runtime/bootstrap.py"])");
    sandbox->close_stream();
    EXPECT_EQ(sandbox->output().finish(), "hello\n");
    EXPECT_EQ(host.await_exit(*sandbox).value, 0);
    host.disconnect();
}

TEST(zygote, siblings_share_no_random_state) {
    const code_directory code({{"main.py",
                                "import random, secrets, ssl, tempfile, uuid\n"
                                "import numpy\n"
                                "def handler(event, context):\n"
                                "    name = tempfile.mkdtemp()\n"
                                "    return [ssl.RAND_bytes(16).hex(), random.random(),\n"
                                "            str(uuid.uuid4()), str(uuid.uuid1()), name,\n"
                                "            secrets.token_hex(8), numpy.random.rand()]\n"}});
    sandbox_host host(zygote_options(2));
    host.await_parked(2);
    std::set<std::string> seen;
    std::size_t values = 0;
    for (int i = 0; i < 4; ++i) {
        create_packet wanted;
        wanted.memory_mb = 256;
        auto sandbox = host.create(code, wanted);
        ASSERT_NE(sandbox->created.way, start_way::program);
        ASSERT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
        const std::string answer = sandbox->invoke("null").payload;
        for (std::size_t from = 1, to = 0; from < answer.size(); from = to + 1) {
            to = std::min(answer.find(',', from), answer.size() - 1);
            seen.insert(answer.substr(from, to - from));
            ++values;
        }
        sandbox->close_stream();
    }
    EXPECT_EQ(values, 28U);
    EXPECT_EQ(seen.size(), values);
}

TEST(zygote, a_module_of_the_function_wins_over_one_that_was_imported_ahead) {
    const code_directory code({{"main.py",
                                "import uuid, csv, decimal\n"
                                "def handler(event, context):\n"
                                "    return [uuid.MINE, csv.MINE, decimal.__file__]\n"},
                               {"uuid.py", "MINE = 1"},
                               {"csv/__init__.py", "MINE = 2"}});
    sandbox_host host(zygote_options());
    auto sandbox = host.create(code);
    ASSERT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    EXPECT_EQ(sandbox->invoke("null").payload, R"([1,2,"/usr/lib/python3.11/decimal.py"])");
    sandbox->close_stream();
}

TEST(zygote, it_holds_three_capabilities_and_no_network) {
    sandbox_host host(zygote_options());
    const auto zygotes = zygotes_of(host);
    ASSERT_EQ(zygotes.size(), 1U);
    // SYS_CHROOT, SYS_PTRACE, SYS_ADMIN.
    EXPECT_EQ(status_field(zygotes[0], "CapEff:"), "00000000002c0000");
    EXPECT_EQ(status_field(zygotes[0], "CapPrm:"), "00000000002c0000");
    EXPECT_EQ(status_field(zygotes[0], "Threads:"), "1");
    EXPECT_NE(fs::read_symlink(concat("/proc/", zygotes[0], "/ns/net")),
              fs::read_symlink("/proc/self/ns/net"));
    host.disconnect();
    EXPECT_FALSE(process_exists(zygotes[0]));
}

TEST(zygote, one_that_dies_is_replaced_and_its_sandboxes_live_on) {
    const code_directory code(small_function);
    sandbox_host host(zygote_options());
    auto before = host.create(code);
    ASSERT_EQ(before->created.way, start_way::zygote);
    ASSERT_TRUE(before->init(default_parameters()).is(frame_type::ready));
    const auto zygotes = zygotes_of(host);
    ASSERT_EQ(zygotes.size(), 1U);
    ASSERT_EQ(::kill(zygotes[0], SIGKILL), 0);
    await_end(zygotes[0]);
    auto meanwhile = host.create(code);
    EXPECT_TRUE(meanwhile->init(default_parameters()).is(frame_type::ready));
    host.await_next_zygote();
    auto after = host.create(code);
    EXPECT_EQ(after->created.way, start_way::zygote);
    EXPECT_TRUE(after->init(default_parameters()).is(frame_type::ready));
    EXPECT_TRUE(before->invoke("null").is(frame_type::result));
    before->close_stream();
    EXPECT_EQ(host.await_exit(*before).value, 0);
    meanwhile->close_stream();
    after->close_stream();
    host.disconnect();
}

TEST(zygote, one_that_stopped_answering_costs_a_sandbox_its_start_but_nothing_else) {
    const code_directory code(small_function);
    sandbox_host host(zygote_options());
    const auto zygotes = zygotes_of(host);
    ASSERT_EQ(zygotes.size(), 1U);
    ASSERT_EQ(::kill(zygotes[0], SIGSTOP), 0);
    create_packet wanted;
    wanted.header.sandbox_id = 9'999;
    ASSERT_TRUE(host.control().create(wanted, code.descriptor()).has_value());
    ASSERT_TRUE(host.control().kill(9'999).has_value());
    const received_event next = host.next_event();
    ASSERT_TRUE(std::holds_alternative<create_failed_packet>(next.what));
    ASSERT_EQ(::kill(zygotes[0], SIGCONT), 0);
    auto sandbox = host.create(code);
    EXPECT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    sandbox->close_stream();
    host.disconnect();
}

TEST(zygote, a_start_that_the_zygote_fails_is_made_by_executing_python) {
    const code_directory code(small_function);
    sandbox_host host(zygote_options());
    const auto zygotes = zygotes_of(host);
    ASSERT_EQ(zygotes.size(), 1U);
    // It dies with the request unread.
    ASSERT_EQ(::kill(zygotes[0], SIGSTOP), 0);
    create_packet wanted;
    wanted.header.sandbox_id = 9'999;
    ASSERT_TRUE(host.control().create(wanted, code.descriptor()).has_value());
    while (children_of(host.control().process()).size() < 2) {
    }
    ASSERT_EQ(::kill(zygotes[0], SIGKILL), 0);
    const received_event next = host.next_event();
    ASSERT_TRUE(std::holds_alternative<created_packet>(next.what));
    EXPECT_EQ(std::get<created_packet>(next.what).way, start_way::program);
    host.disconnect();
}

TEST(zygote, two_thousand_forks_leave_its_memory_threads_and_descriptors_as_they_were) {
    const code_directory code(small_function);
    sandbox_host host(zygote_options());
    const auto zygotes = zygotes_of(host);
    ASSERT_EQ(zygotes.size(), 1U);
    const auto resident_kb = [&] {
        return std::stoul(status_field(zygotes[0], "VmRSS:"));
    };
    const auto run = [&](int count) {
        for (int i = 0; i < count; ++i) {
            auto sandbox = host.create(code);
            ASSERT_EQ(sandbox->created.way, start_way::zygote);
            sandbox->close_stream();
            (void)host.await_exit(*sandbox);
        }
    };
    run(100);
    const auto before_kb = resident_kb();
    const auto before = descriptors_of(zygotes[0]);
    const auto daemon_before = descriptors_of(host.control().process());
    run(1'900);
    EXPECT_LE(resident_kb(), before_kb + 256);
    EXPECT_EQ(descriptors_of(zygotes[0]), before);
    EXPECT_EQ(descriptors_of(host.control().process()), daemon_before);
    EXPECT_EQ(status_field(zygotes[0], "Threads:"), "1");
    EXPECT_EQ(children_of(zygotes[0]).size(), 0U);
    host.disconnect();
}

TEST(zygote, killing_sandboxd_ends_the_zygote) {
    sandbox_host host(zygote_options(1));
    host.await_parked(1);
    const auto zygotes = zygotes_of(host);
    ASSERT_EQ(zygotes.size(), 1U);
    ASSERT_EQ(::kill(host.control().process(), SIGKILL), 0);
    await_end(zygotes[0]);
    ASSERT_EQ(::waitpid(host.control().process(), nullptr, 0), host.control().process());
}

}  // namespace
}  // namespace hearth::sandbox::testing
