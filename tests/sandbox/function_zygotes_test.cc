// A zygote for each function.

#include <algorithm>
#include <set>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/concat.h"
#include "harness.h"

namespace hearth::sandbox::testing {
namespace {

// What siblings share, and others must not: the secret of hash(), and where things lie. The address
// of a C function tells of libraries, that of the interpreter's type objects of the program.
const std::map<std::string, std::string> telling_function{
    {"main.py",
     "import ctypes\n"
     "library = ctypes.CDLL(None)\n"
     "def handler(event, context):\n"
     "    address = ctypes.cast(library.getpid, ctypes.c_void_p).value\n"
     "    return [hash('x'), id(int), address]\n"}};

launch_options per_function_options() {
    auto options = default_options();
    options.zygote = zygote_mode::per_function;
    options.zygote_spares = 1;
    options.parked = 0;
    options.shells = 0;
    return options;
}

create_packet for_function(std::uint64_t number) {
    create_packet wanted;
    wanted.function.words = {number, 1};
    return wanted;
}

// Its answer to one call.
std::string answer_of(test_sandbox& sandbox) {
    EXPECT_TRUE(sandbox.init(default_parameters()).is(frame_type::ready));
    const auto answer = sandbox.invoke("null");
    EXPECT_TRUE(answer.is(frame_type::result)) << answer.payload;
    return answer.payload;
}

// Each of three values of telling_function.
std::vector<std::string> parts_of(std::string_view list) {
    std::vector<std::string> parts;
    for (std::size_t from = 1, to = 0; from < list.size(); from = to + 1) {
        to = std::min(list.find(',', from), list.size() - 1);
        parts.emplace_back(list.substr(from, to - from));
    }
    return parts;
}

TEST(function_zygotes, two_functions_share_neither_layout_nor_hash_secret_and_one_shares_both) {
    const code_directory code(telling_function);
    sandbox_host host(per_function_options());
    auto first = host.create(code, for_function(1));
    host.await_next_zygote();
    auto second = host.create(code, for_function(2));
    auto sibling = host.create(code, for_function(1));
    for (const auto* each : {first.get(), second.get(), sibling.get()}) {
        EXPECT_EQ(each->created.way, start_way::zygote);
    }
    const std::string told = answer_of(*first);
    EXPECT_EQ(answer_of(*sibling), told);
    const auto own = parts_of(told);
    const auto others = parts_of(answer_of(*second));
    ASSERT_EQ(own.size(), 3U);
    ASSERT_EQ(others.size(), 3U);
    for (std::size_t i = 0; i < own.size(); ++i) {
        EXPECT_NE(own[i], others[i]) << i;
    }
    host.disconnect();
}

TEST(function_zygotes, a_start_that_finds_none_executes_python_and_shares_nothing) {
    const code_directory code(telling_function);
    auto options = per_function_options();
    options.zygote_spares = 0;
    sandbox_host host(options);
    auto first = host.create(code, for_function(1));
    auto sibling = host.create(code, for_function(1));
    EXPECT_EQ(first->created.way, start_way::program);
    EXPECT_EQ(sibling->created.way, start_way::program);
    EXPECT_NE(parts_of(answer_of(*first))[0], parts_of(answer_of(*sibling))[0]);
    EXPECT_TRUE(host.zygotes().empty());
    host.disconnect();
}

TEST(function_zygotes, a_request_of_no_function_has_none) {
    const code_directory code(telling_function);
    sandbox_host host(per_function_options());
    auto sandbox = host.create(code);
    EXPECT_EQ(sandbox->created.way, start_way::program);
    (void)answer_of(*sandbox);
    host.disconnect();
}

TEST(function_zygotes, no_more_functions_have_one_than_the_setting_says_and_the_oldest_goes) {
    const code_directory code(telling_function);
    auto options = per_function_options();
    options.zygote_functions = 2;
    sandbox_host host(options);
    std::vector<pid_t> owners;
    std::vector<std::unique_ptr<test_sandbox>> sandboxes;
    const auto run = [&](std::uint64_t function) {
        sandboxes.push_back(host.create(code, for_function(function)));
        EXPECT_EQ(sandboxes.back()->created.way, start_way::zygote) << function;
    };
    const auto spare = [&] {
        return host.zygotes().at(0);
    };
    owners.push_back(spare());
    run(1);
    host.await_next_zygote();
    run(2);
    run(1);  // so that 2 is the one that was used longest ago
    const auto before = host.zygotes();
    ASSERT_EQ(before.front(), owners[0]);
    const pid_t of_second = before.at(1);
    host.await_next_zygote();
    run(3);
    await_end(of_second);
    host.await_next_zygote();
    const auto held = host.zygotes();
    EXPECT_EQ(held.size(), 3U);  // two functions' and the spare one
    EXPECT_EQ(std::ranges::count(held, owners[0]), 1);
    EXPECT_EQ(std::ranges::count(held, of_second), 0);
    // What was forked from it lives on.
    EXPECT_EQ(parts_of(answer_of(*sandboxes[1])).size(), 3U);
    host.disconnect();
}

TEST(function_zygotes, one_whose_function_had_no_sandbox_for_a_while_ends_and_others_stay) {
    const code_directory code(telling_function);
    auto options = per_function_options();
    options.zygote_idle_seconds = 1;
    sandbox_host host(options);
    const pid_t of_first = host.zygotes().at(0);
    auto first = host.create(code, for_function(1));
    host.await_next_zygote();
    const auto both = host.zygotes();
    ASSERT_EQ(both.size(), 2U);
    auto second = host.create(code, for_function(2));
    host.await_next_zygote();
    first->close_stream();
    (void)host.await_exit(*first);
    await_end(of_first);
    EXPECT_TRUE(process_exists(both[1]));  // its function has a sandbox
    EXPECT_EQ(second->created.way, start_way::zygote);
    host.disconnect();
}

TEST(function_zygotes, one_is_worn_out_after_as_many_forks_as_the_setting_says) {
    const code_directory code(telling_function);
    auto options = per_function_options();
    options.zygote_forks = 2;
    sandbox_host host(options);
    const pid_t first = host.zygotes().at(0);
    std::set<std::string> hashes;
    const auto run = [&] {
        auto sandbox = host.create(code, for_function(1));
        EXPECT_EQ(sandbox->created.way, start_way::zygote);
        hashes.insert(parts_of(answer_of(*sandbox))[0]);
    };
    run();
    run();
    EXPECT_EQ(hashes.size(), 1U);
    host.await_next_zygote();
    run();
    EXPECT_EQ(hashes.size(), 2U);
    await_end(first);
    host.disconnect();
}

TEST(function_zygotes, one_that_dies_costs_its_function_nothing_but_speed) {
    const code_directory code(telling_function);
    sandbox_host host(per_function_options());
    const pid_t zygote = host.zygotes().at(0);
    auto before = host.create(code, for_function(1));
    host.await_next_zygote();
    ASSERT_EQ(::kill(zygote, SIGKILL), 0);
    await_end(zygote);
    auto after = host.create(code, for_function(1));
    EXPECT_NE(parts_of(answer_of(*before))[0], parts_of(answer_of(*after))[0]);
    host.disconnect();
}

TEST(function_zygotes, a_parked_sandbox_is_for_a_function_that_has_no_zygote) {
    const code_directory code(telling_function);
    auto options = per_function_options();
    options.parked = 2;
    for (const std::uint32_t spares : {0U, 1U}) {
        options.zygote_spares = spares;
        sandbox_host host(options);
        host.await_parked(2);
        auto one = host.create(code, for_function(1));
        EXPECT_EQ(one->created.way, spares == 0 ? start_way::parked : start_way::zygote);
        auto sibling = host.create(code, for_function(1));
        EXPECT_EQ(sibling->created.way, one->created.way);
        EXPECT_EQ(answer_of(*one) == answer_of(*sibling), spares == 1);
        host.disconnect();
    }
}

TEST(function_zygotes, a_shell_gets_its_python_from_the_zygote_of_its_function) {
    const code_directory code(telling_function);
    auto options = per_function_options();
    options.shells = 2;
    sandbox_host host(options);
    host.await_shells(2);
    auto one = host.create(code, for_function(1));
    auto two = host.create(code, for_function(1));
    EXPECT_EQ(one->created.way, start_way::zygote);
    EXPECT_EQ(two->created.way, start_way::zygote);
    EXPECT_EQ(answer_of(*one), answer_of(*two));
    host.disconnect();
}

TEST(function_zygotes, a_numpy_function_gets_one_of_its_own_after_its_first_start) {
    const code_directory code({{"main.py",
                                "import sys\n"
                                "imported = 'numpy' in sys.modules\n"
                                "def handler(event, context): return imported\n"}});
    sandbox_host host(per_function_options());
    auto wanted = for_function(1);
    wanted.memory_mb = 256;
    wanted.family = zygote_family::numpy;
    for (;;) {
        auto sandbox = host.create(code, wanted);
        const bool forked = sandbox->created.way == start_way::zygote;
        EXPECT_EQ(answer_of(*sandbox), forked ? "true" : "false");
        if (forked) {
            break;
        }
    }
    host.disconnect();
}

TEST(function_zygotes, killing_sandboxd_ends_all_of_them) {
    const code_directory code(telling_function);
    sandbox_host host(per_function_options());
    auto sandbox = host.create(code, for_function(1));
    host.await_next_zygote();
    const auto zygotes = host.zygotes();
    EXPECT_EQ(zygotes.size(), 2U);
    ASSERT_EQ(::kill(host.control().process(), SIGKILL), 0);
    for (const pid_t each : zygotes) {
        await_end(each);
    }
    ASSERT_EQ(::waitpid(host.control().process(), nullptr, 0), host.control().process());
}

TEST(function_zygotes, the_worker_is_told_how_many_there_are) {
    const code_directory code(telling_function);
    sandbox_host host(per_function_options());
    EXPECT_EQ(host.zygotes_told(), 1U);
    auto sandbox = host.create(code, for_function(1));
    host.await_next_zygote();
    EXPECT_EQ(host.zygotes_told(), 2U);
    host.disconnect();
}

}  // namespace
}  // namespace hearth::sandbox::testing
