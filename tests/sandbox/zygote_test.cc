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
    options.zygote = zygote_mode::shared;
    options.parked = parked;
    options.shells = 0;
    return options;
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

create_packet with_numpy() {
    create_packet wanted;
    wanted.memory_mb = 256;
    wanted.family = zygote_family::numpy;
    return wanted;
}

// The numpy zygote starts with the first request for it, which does not wait for it.
std::unique_ptr<test_sandbox> create_forked_with_numpy(sandbox_host& host,
                                                       const code_directory& code) {
    for (;;) {
        auto sandbox = host.create(code, with_numpy());
        if (sandbox->created.way == start_way::zygote) {
            return sandbox;
        }
        sandbox->close_stream();
        (void)host.await_exit(*sandbox);
    }
}

TEST(zygote, that_of_numpy_has_it_imported_and_its_siblings_share_no_random_state) {
    const code_directory code({{"main.py",
                                "import sys\n"
                                "imported = 'numpy' in sys.modules and 'pandas' in sys.modules\n"
                                "import numpy, secrets, tempfile, uuid\n"
                                "def handler(event, context):\n"
                                "    assert imported\n"
                                "    return [numpy.random.rand(), numpy.random.randint(1 << 60),\n"
                                "            numpy.random.default_rng().random(),\n"
                                "            secrets.token_hex(8), str(uuid.uuid1()),\n"
                                "            tempfile.mkdtemp()]\n"}});
    sandbox_host host(zygote_options());
    std::set<std::string> seen;
    std::size_t values = 0;
    for (int i = 0; i < 3; ++i) {
        auto sandbox = create_forked_with_numpy(host, code);
        ASSERT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
        const auto answer = sandbox->invoke("null");
        ASSERT_TRUE(answer.is(frame_type::result)) << answer.payload;
        for (std::size_t from = 1, to = 0; from < answer.payload.size(); from = to + 1) {
            to = std::min(answer.payload.find(',', from), answer.payload.size() - 1);
            seen.insert(answer.payload.substr(from, to - from));
            ++values;
        }
        sandbox->close_stream();
    }
    EXPECT_EQ(values, 18U);
    EXPECT_EQ(seen.size(), values);
    const auto zygotes = host.zygotes();
    ASSERT_EQ(zygotes.size(), 2U);
    for (const pid_t each : zygotes) {
        EXPECT_EQ(status_field(each, "Threads:"), "1");
    }
    host.disconnect();
}

TEST(zygote, one_whose_modules_are_missing_is_not_there_and_python_is_executed) {
    const code_directory code(small_function);
    auto options = zygote_options();
    options.numpy_modules = "no_such_module,numpy";
    sandbox_host host(options);
    (void)host.create(code, with_numpy());
    while (host.zygotes().size() != 1) {
    }
    auto sandbox = host.create(code, with_numpy());
    EXPECT_EQ(sandbox->created.way, start_way::program);
    EXPECT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    sandbox->close_stream();
    host.disconnect();
}

TEST(zygote, modules_of_the_setting_are_imported_ahead_and_a_missing_one_is_left_out) {
    const code_directory code({{"main.py",
                                "import sys\n"
                                "ahead = 'wave' in sys.modules\n"
                                "def handler(event, context): return ahead\n"}});
    auto options = zygote_options();
    options.zygote_modules = "wave,no_such_module";
    sandbox_host host(options);
    auto sandbox = host.create(code);
    EXPECT_EQ(sandbox->created.way, start_way::zygote);
    ASSERT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
    EXPECT_EQ(sandbox->invoke("null").payload, "true");
    sandbox->close_stream();
    host.disconnect();
}

TEST(zygote, it_is_replaced_after_as_many_forks_as_the_setting_says) {
    const code_directory code({{"main.py", "def handler(event, context): return hash('secret')"}});
    auto options = zygote_options();
    options.zygote_forks = 3;
    sandbox_host host(options);
    const auto first = host.zygotes();
    std::set<std::string> hashes;
    const auto run = [&](start_way expected) {
        auto sandbox = host.create(code);
        EXPECT_EQ(sandbox->created.way, expected);
        EXPECT_TRUE(sandbox->init(default_parameters()).is(frame_type::ready));
        hashes.insert(sandbox->invoke("null").payload);
        sandbox->close_stream();
    };
    for (int i = 0; i < 3; ++i) {
        run(start_way::zygote);
    }
    EXPECT_EQ(hashes.size(), 1U);  // shared by siblings, as documented
    await_end(first.at(0));
    run(start_way::zygote);
    EXPECT_EQ(hashes.size(), 2U);
    host.disconnect();
}

std::uint64_t private_bytes_of_zygote_memory(pid_t process) {
    std::ifstream maps(concat("/proc/", process, "/smaps"));
    std::string line;
    std::uint64_t sum = 0;
    bool inside = false;
    while (std::getline(maps, line)) {
        if (line.find('-') < line.find(' ')) {
            inside = line.find("memfd:zygote") != std::string::npos;
        } else if (inside && line.starts_with("Anonymous:")) {
            sum += std::stoull(line.substr(line.find_first_of("0123456789"))) << 10;
        }
    }
    return sum;
}

TEST(zygote, an_idle_fork_gives_back_pages_and_answers_as_before) {
    const code_directory code({{"main.py",
                                "calls = 0\n"
                                "def handler(event, context):\n"
                                "    global calls\n"
                                "    calls += 1\n"
                                "    return calls\n"}});
    sandbox_host host(zygote_options());
    auto sandbox = host.start(code);
    EXPECT_EQ(sandbox->invoke("null").payload, "1");
    const pid_t python = children_of(sandbox->init_pid()).at(0);
    const auto busy = private_bytes_of_zygote_memory(python);
    while (private_bytes_of_zygote_memory(python) > busy * 3 / 4) {
    }
    for (int i = 2; i < 50; ++i) {
        EXPECT_EQ(sandbox->invoke("null").payload, std::to_string(i));
    }
    sandbox->close_stream();
    host.disconnect();
}

TEST(zygote, a_fork_copies_the_pages_of_a_first_call_before_it_is_called) {
    const code_directory code({{"main.py", "def handler(event, context): return 1"}});
    sandbox_host host(zygote_options());
    auto called = host.start(code);
    EXPECT_EQ(called->invoke("null").payload, "1");
    const auto bytes_of = [](const auto& sandbox) {
        return private_bytes_of_zygote_memory(children_of(sandbox->init_pid()).at(0));
    };
    const std::uint64_t wanted = bytes_of(called) * 3 / 4;
    // One that was not looked at for a second has given its copies back already.
    std::uint64_t most = 0;
    for (int attempt = 0; attempt < 8 && most < wanted; ++attempt) {
        auto waiting = host.create(code);
        most = 0;
        for (std::uint64_t now = 0; now >= most && most < wanted; now = bytes_of(waiting)) {
            most = now;
        }
        waiting->close_stream();
    }
    EXPECT_GE(most, wanted);
    called->close_stream();
    host.disconnect();
}

TEST(zygote, a_module_of_the_function_wins_over_one_that_was_imported_ahead) {
    const code_directory code({{"main.py",
                                "import uuid, csv, decimal\n"
                                "def handler(event, context):\n"
                                "    return [uuid.MINE, csv.MINE, decimal.__file__]\n"},
                               {"uuid.py", "MINE = 1"},
                               {"csv/__init__.py", "MINE = 2"}});
    sandbox_host host(zygote_options());
    auto sandbox = host.start(code);
    EXPECT_EQ(sandbox->invoke("null").payload, R"([1,2,"/usr/lib/python3.11/decimal.py"])");
    sandbox->close_stream();
}

TEST(zygote, it_holds_three_capabilities_and_no_network) {
    sandbox_host host(zygote_options());
    const auto zygotes = host.zygotes();
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
    const auto zygotes = host.zygotes();
    ASSERT_EQ(zygotes.size(), 1U);
    ASSERT_EQ(::kill(zygotes[0], SIGKILL), 0);
    await_end(zygotes[0]);
    auto meanwhile = host.start(code);
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
    const auto zygotes = host.zygotes();
    ASSERT_EQ(zygotes.size(), 1U);
    ASSERT_EQ(::kill(zygotes[0], SIGSTOP), 0);
    create_packet wanted;
    wanted.header.sandbox_id = 9'999;
    ASSERT_TRUE(host.control().create(wanted, code.descriptor()).has_value());
    ASSERT_TRUE(host.control().kill(9'999).has_value());
    const received_event next = host.next_event();
    ASSERT_TRUE(std::holds_alternative<create_failed_packet>(next.what));
    ASSERT_EQ(::kill(zygotes[0], SIGCONT), 0);
    auto sandbox = host.start(code);
    sandbox->close_stream();
    host.disconnect();
}

TEST(zygote, a_start_that_the_zygote_fails_is_made_by_executing_python) {
    const code_directory code(small_function);
    sandbox_host host(zygote_options());
    const auto zygotes = host.zygotes();
    ASSERT_EQ(zygotes.size(), 1U);
    // It dies with the request unread.
    ASSERT_EQ(::kill(zygotes[0], SIGSTOP), 0);
    create_packet wanted;
    wanted.header.sandbox_id = 9'999;
    ASSERT_TRUE(host.control().create(wanted, code.descriptor()).has_value());
    while (children_of(host.control().process()).size() < 2) {
    }
    ASSERT_EQ(::kill(zygotes[0], SIGKILL), 0);
    received_event next = host.next_event();
    while (std::holds_alternative<pool_packet>(next.what)) {  // there is one zygote less
        next = host.next_event();
    }
    ASSERT_TRUE(std::holds_alternative<created_packet>(next.what));
    EXPECT_EQ(std::get<created_packet>(next.what).way, start_way::program);
    host.disconnect();
}

TEST(zygote, two_thousand_forks_leave_its_memory_threads_and_descriptors_as_they_were) {
    const code_directory code(small_function);
    sandbox_host host(zygote_options());
    const auto zygotes = host.zygotes();
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
    const auto zygotes = host.zygotes();
    ASSERT_EQ(zygotes.size(), 1U);
    ASSERT_EQ(::kill(host.control().process(), SIGKILL), 0);
    await_end(zygotes[0]);
    ASSERT_EQ(::waitpid(host.control().process(), nullptr, 0), host.control().process());
}

}  // namespace
}  // namespace hearth::sandbox::testing
