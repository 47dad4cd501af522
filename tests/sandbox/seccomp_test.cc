// The filters as the kernel gets them, against the policy written down a second time
// (tests/support/expected_verdicts.h), in user space for every number and pattern, and by the
// kernel itself, which carries none of the calls out.

#include "sandbox/seccomp.h"

#include <algorithm>
#include <functional>
#include <ranges>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/syscall.h>

#include "tests/support/bpf_evaluator.h"
#include "tests/support/expected_verdicts.h"
#include "tests/support/kernel_oracle.h"

namespace hearth::sandbox {
namespace {

using test::verdict;

constexpr std::uint32_t x32_bit = 0x4000'0000;
constexpr std::uint32_t numbers_beyond = 2'000;

struct subject {
    const char* name;
    std::vector<seccomp_program> programs;  // the kernel follows the strictest
    std::function<verdict(const seccomp_data&)> expected;
    std::vector<std::uint32_t> ruled{};  // the calls whose arguments it looks at
};

const std::vector<subject>& subjects() {
    const std::vector<std::uint32_t> ruled_of_function{16, 28, 41,  44,  46,  53, 54,
                                                       56, 72, 135, 157, 302, 307};
    static const std::vector<subject> all{
        {"function",
         {compile_function_filter().value()},
         test::expected_for_function,
         ruled_of_function},
        // What a fork of the zygote ends up with is the same policy.
        {"joined",
         {compile_zygote_filter().value(), compile_sealing_filter().value()},
         test::expected_for_function,
         ruled_of_function},
        {"init", {compile_init_filter().value()}, test::expected_for_init, {}},
        {"check",
         {compile_intake_filter(false).value()},
         [](const seccomp_data& call) { return test::expected_for_intake(call, false); },
         {1, 9}},
        {"unpack",
         {compile_intake_filter(true).value()},
         [](const seccomp_data& call) { return test::expected_for_intake(call, true); },
         {9, 437}}};
    return all;
}

// What the kernel makes of several filters: the action that lets through least, and of equal ones
// the filter that was loaded last.
std::uint32_t evaluate(const subject& filter, const seccomp_data& call) {
    std::uint32_t strictest = SECCOMP_RET_ALLOW;
    for (const seccomp_program& each : filter.programs | std::views::reverse) {
        const std::uint32_t answer = test::evaluate(each, call);
        const auto rank = [](std::uint32_t value) {
            return static_cast<std::int32_t>(value & SECCOMP_RET_ACTION_FULL);
        };
        if (rank(answer) < rank(strictest)) {
            strictest = answer;
        }
    }
    return strictest;
}

seccomp_data call_of(std::uint32_t number, std::initializer_list<std::uint64_t> arguments = {}) {
    seccomp_data data{};
    data.nr = static_cast<int>(number);
    data.arch = AUDIT_ARCH_X86_64;
    std::ranges::copy(arguments, data.args);
    return data;
}

::testing::AssertionResult agrees(const subject& filter, const seccomp_data& call) {
    const verdict found = test::verdict_of(evaluate(filter, call));
    if (found == filter.expected(call)) {
        return ::testing::AssertionSuccess();
    }
    auto failure = ::testing::AssertionFailure();
    failure << filter.name << ": call " << call.nr << " arch " << std::hex << call.arch;
    for (const auto& each : call.args) {
        failure << ' ' << each;
    }
    return failure << " got " << static_cast<int>(found);
}

// Numbers around each that means something, and the ends of all ranges.
std::vector<std::uint32_t> telling_numbers() {
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t number = 0; number < numbers_beyond; ++number) {
        numbers.push_back(number);
    }
    for (const std::uint32_t base : {0x7fff'ffffU, 0x8000'0000U, 0xffff'ffffU, 0x1000'0000U}) {
        for (std::uint32_t offset = 0; offset < 4; ++offset) {
            numbers.push_back(base - 2 + offset);
        }
    }
    return numbers;
}

TEST(seccomp, the_kernel_takes_every_filter) {
    for (const subject& each : subjects()) {
        for (const seccomp_program& program : each.programs) {
            EXPECT_TRUE(test::is_loadable(program)) << each.name;
        }
    }
}

TEST(seccomp, every_number_has_its_verdict_whatever_arguments_that_no_rule_looks_at) {
    for (const subject& each : subjects()) {
        for (const std::uint32_t number : telling_numbers()) {
            for (const std::uint64_t value : {0ULL, 1ULL, ~0ULL, 0x5555'5555'5555'5555ULL}) {
                ASSERT_TRUE(
                    agrees(each, call_of(number, {value, value, value, value, value, value})));
            }
        }
    }
}

TEST(seccomp, foreign_calls_kill) {
    constexpr std::uint32_t not_an_architecture = 0x1234'5678;
    for (const subject& each : subjects()) {
        for (const std::uint32_t number : telling_numbers()) {
            const auto x32 = call_of(number | x32_bit);
            ASSERT_TRUE(agrees(each, x32));
            if (number < numbers_beyond) {
                ASSERT_EQ(evaluate(each, x32), SECCOMP_RET_KILL_PROCESS) << number;
            }
            for (const std::uint32_t arch : std::initializer_list<std::uint32_t>{
                     AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, AUDIT_ARCH_RISCV64, 0U,
                     ~0U, AUDIT_ARCH_X86_64 ^ 1U, not_an_architecture}) {
                auto foreign = call_of(number);
                foreign.arch = arch;
                ASSERT_EQ(evaluate(each, foreign), SECCOMP_RET_KILL_PROCESS)
                    << each.name << ' ' << number << " arch " << arch;
            }
        }
    }
}

// Values at which a rule may change its mind: small ones, those that options and requests have, the
// edges, and single bits.
const std::vector<std::uint64_t>& telling_values() {
    static const std::vector<std::uint64_t> values = [] {
        std::set<std::uint64_t> chosen;
        for (std::uint64_t value = 0; value < 48; ++value) {
            chosen.insert(value);
        }
        for (const std::uint64_t base :
             {102ULL, 0x400ULL, 0x408ULL, 0x5401ULL, 0x5413ULL, 0x540fULL, 0x5412ULL, 0x541bULL,
              0x5421ULL, 0x5451ULL, 0x53564d41ULL, 0x7fffffffULL, 0xffffffffULL, 0x80800ULL,
              0x7e82a080ULL, ~0ULL}) {
            for (std::uint64_t offset = 0; offset < 5; ++offset) {
                chosen.insert(base - 2 + offset);
            }
        }
        for (int bit = 0; bit < 64; ++bit) {
            chosen.insert(1ULL << bit);
            chosen.insert(~(1ULL << bit));
            chosen.insert((1ULL << bit) | 1);
            chosen.insert((1ULL << bit) | 2);
        }
        return std::vector<std::uint64_t>(chosen.begin(), chosen.end());
    }();
    return values;
}

TEST(seccomp, every_rule_decides_as_written_for_every_pair_of_telling_values) {
    const auto& values = telling_values();
    for (const subject& each : subjects()) {
        for (const std::uint32_t number : each.ruled) {
            for (const std::uint64_t a : values) {
                for (const std::uint64_t b : values) {
                    // Each argument meets each other one; the rest is noise.
                    ASSERT_TRUE(agrees(each, call_of(number, {a, b, 0, a, b, ~0ULL})));
                    ASSERT_TRUE(agrees(each, call_of(number, {~a, a, b, b, 1, a})));
                }
            }
        }
    }
}

TEST(seccomp, sockets_and_options_decide_as_written_for_all_three_arguments) {
    const subject& function = subjects().front();
    std::vector<std::uint64_t> types;
    for (std::uint64_t type = 0; type < 16; ++type) {
        for (const std::uint64_t flags : {0ULL, 0x800ULL, 0x80000ULL, 0x80800ULL, 0x1000ULL,
                                          1ULL << 31, 1ULL << 32, 1ULL << 63}) {
            types.push_back(type | flags);
        }
    }
    for (std::uint64_t family = 0; family < 64; ++family) {
        for (const std::uint64_t high : {0ULL, 1ULL << 8, 1ULL << 31, 1ULL << 32, 1ULL << 63}) {
            for (const std::uint64_t type : types) {
                for (std::uint64_t protocol = 0; protocol < 20; ++protocol) {
                    ASSERT_TRUE(agrees(
                        function, call_of(SYS_socket, {family | high, type, protocol | high})));
                    ASSERT_TRUE(
                        agrees(function, call_of(SYS_socketpair, {family | high, type, protocol})));
                }
            }
        }
    }
    for (std::uint64_t level = 0; level < 300; ++level) {
        for (std::uint64_t name = 0; name < 100; ++name) {
            ASSERT_TRUE(agrees(function, call_of(SYS_setsockopt, {3, level, name})));
            ASSERT_TRUE(agrees(
                function, call_of(SYS_setsockopt, {3, level | 1ULL << 32, name | 1ULL << 40})));
        }
    }
}

TEST(seccomp, the_upper_half_of_an_argument_changes_no_verdict) {
    for (const subject& each : subjects()) {
        for (std::uint32_t number = 0; number <= test::newest_assigned; ++number) {
            for (std::uint64_t a = 0; a < 40; ++a) {
                for (unsigned index = 0; index < 6; ++index) {
                    auto plain = call_of(number, {1, 1, 0, 0, 0, 0});
                    plain.args[index] = a;
                    auto high = plain;
                    high.args[index] |= (a % 3 == 0 ? ~0ULL : 1ULL << (a % 32)) << 32;
                    ASSERT_EQ(evaluate(each, plain), evaluate(each, high))
                        << each.name << ' ' << number << ' ' << a;
                }
            }
        }
    }
}

// Enough calls for every number, and for every rule with every telling value.
std::vector<seccomp_data> calls_for_the_kernel() {
    std::vector<seccomp_data> calls;
    for (const std::uint32_t number : telling_numbers()) {
        if (test::is_beside_filters(static_cast<int>(number))) {
            continue;
        }
        calls.push_back(call_of(number, {1, 2, 3, 4, 5, 6}));
        calls.push_back(call_of(number | x32_bit, {1, 2, 3, 4, 5, 6}));
    }
    for (std::uint32_t number = 0; number <= test::newest_assigned; ++number) {
        if (!test::has_argument_rule(number)) {
            continue;
        }
        for (const std::uint64_t value : telling_values()) {
            calls.push_back(call_of(number, {value, 1, 0, 0, 0, 0}));
            calls.push_back(call_of(number, {1, value, 0, 0, 0, 0}));
            calls.push_back(call_of(number, {2, 1, value, 0, 0, 0}));
            calls.push_back(call_of(number, {1, 1, 1, value, 0, 0}));
        }
    }
    return calls;
}

TEST(seccomp, the_kernel_says_what_the_evaluator_says) {
    const auto calls = calls_for_the_kernel();
    for (const subject& each : subjects()) {
        for (const seccomp_program& program : each.programs) {
            const auto answers = test::ask_kernel(program, calls);
            ASSERT_EQ(answers.size(), calls.size()) << each.name;
            for (std::size_t i = 0; i < calls.size(); ++i) {
                ASSERT_EQ(answers[i], test::evaluate(program, calls[i]))
                    << each.name << ' ' << calls[i].nr << ' ' << calls[i].args[0] << ' '
                    << calls[i].args[1];
            }
        }
    }
}

TEST(seccomp, the_kernel_kills_calls_of_the_32_bit_interface) {
    std::vector<seccomp_data> calls;
    for (std::uint32_t number = 0; number < 500; ++number) {
        calls.push_back(call_of(number, {1, 2, 3, 4, 5}));
    }
    for (const subject& each : subjects()) {
        for (const seccomp_program& program : each.programs) {
            const auto answers = test::ask_kernel_by_int80(program, calls);
            if (answers.empty()) {
                GTEST_SKIP() << "this kernel has no 32-bit interface";
            }
            for (std::size_t i = 0; i < calls.size(); ++i) {
                ASSERT_EQ(answers[i], SECCOMP_RET_KILL_PROCESS) << each.name << ' ' << i;
            }
        }
    }
}

}  // namespace
}  // namespace hearth::sandbox
