#include "tests/support/bpf_evaluator.h"

#include <vector>

#include <gtest/gtest.h>

namespace hearth::test {
namespace {

constexpr sock_filter statement(std::uint16_t code, std::uint32_t k) {
    return {.code = code, .jt = 0, .jf = 0, .k = k};
}
constexpr sock_filter jump(std::uint16_t code, std::uint32_t k, std::uint8_t yes, std::uint8_t no) {
    return {.code = code, .jt = yes, .jf = no, .k = k};
}
constexpr sock_filter answer = statement(BPF_RET | BPF_A, 0);

std::uint32_t run(std::vector<sock_filter> program) {
    EXPECT_TRUE(is_loadable(program));
    return evaluate(program, {});
}

TEST(bpf_evaluator, computes) {
    const auto with = [](std::uint16_t operation, std::uint32_t a, std::uint32_t b) {
        const auto code = static_cast<std::uint16_t>(BPF_ALU | operation);
        const std::uint32_t constant =
            run({statement(BPF_LD | BPF_IMM, a),
                 statement(static_cast<std::uint16_t>(code | BPF_K), b), answer});
        EXPECT_EQ(run({statement(BPF_LD | BPF_IMM, b), statement(BPF_MISC | BPF_TAX, 0),
                       statement(BPF_LD | BPF_IMM, a),
                       statement(static_cast<std::uint16_t>(code | BPF_X), 0), answer}),
                  constant);
        return constant;
    };
    EXPECT_EQ(with(BPF_ADD, ~0U, 2), 1U);
    EXPECT_EQ(with(BPF_SUB, 1, 2), ~0U);
    EXPECT_EQ(with(BPF_MUL, 0x10000, 0x10001), 0x10000U);
    EXPECT_EQ(with(BPF_DIV, 7, 2), 3U);
    EXPECT_EQ(with(BPF_AND, 6, 3), 2U);
    EXPECT_EQ(with(BPF_OR, 6, 3), 7U);
    EXPECT_EQ(with(BPF_XOR, 6, 3), 5U);
    EXPECT_EQ(with(BPF_LSH, 1, 31), 1U << 31);
    EXPECT_EQ(with(BPF_RSH, ~0U, 31), 1U);
    EXPECT_EQ(run({statement(BPF_LD | BPF_IMM, 1), statement(BPF_ALU | BPF_NEG, 0), answer}), ~0U);
}

TEST(bpf_evaluator, loads_and_stores) {
    EXPECT_EQ(
        run({statement(BPF_LD | BPF_IMM, 5), statement(BPF_ST, 3), statement(BPF_LDX | BPF_MEM, 3),
             statement(BPF_STX, 4), statement(BPF_LD | BPF_MEM, 4), answer}),
        5U);
    EXPECT_EQ(run({statement(BPF_LDX | BPF_IMM, 9), statement(BPF_MISC | BPF_TXA, 0), answer}), 9U);
    EXPECT_EQ(run({statement(BPF_LD | BPF_W | BPF_LEN, 0), answer}), sizeof(seccomp_data));
    seccomp_data call{};
    call.args[5] = 0x1234'5678'9abc'def0;
    const std::vector<sock_filter> upper{statement(BPF_LD | BPF_W | BPF_ABS, 60), answer};
    EXPECT_EQ(evaluate(upper, call), 0x1234'5678U);
}

TEST(bpf_evaluator, jumps) {
    const auto taken = [](std::uint16_t operation, std::uint32_t a, std::uint32_t k) {
        const auto code = static_cast<std::uint16_t>(BPF_JMP | operation | BPF_K);
        return run({statement(BPF_LD | BPF_IMM, a), jump(code, k, 1, 0),
                    statement(BPF_RET | BPF_K, 0), statement(BPF_RET | BPF_K, 1)}) == 1;
    };
    EXPECT_TRUE(taken(BPF_JEQ, 1, 1) && !taken(BPF_JEQ, 1, 2));
    EXPECT_TRUE(taken(BPF_JGT, ~0U, 1) && !taken(BPF_JGT, 1, 1));
    EXPECT_TRUE(taken(BPF_JGE, 1, 1) && !taken(BPF_JGE, 0, 1));
    EXPECT_TRUE(taken(BPF_JSET, 6, 2) && !taken(BPF_JSET, 4, 2));
    EXPECT_EQ(run({statement(BPF_JMP | BPF_JA, 1), statement(BPF_RET | BPF_K, 0),
                   statement(BPF_RET | BPF_K, 1)}),
              1U);
}

TEST(bpf_evaluator, what_the_kernel_would_not_load_is_not_loadable) {
    const sock_filter end = statement(BPF_RET | BPF_K, 0);
    const std::vector<std::vector<sock_filter>> broken{
        {},
        {statement(BPF_LD | BPF_IMM, 0)},
        {statement(BPF_LD | BPF_W | BPF_ABS, 2), end},
        {statement(BPF_LD | BPF_W | BPF_ABS, sizeof(seccomp_data)), end},
        {statement(BPF_LD | BPF_B | BPF_ABS, 0), end},
        {statement(BPF_LD | BPF_W | BPF_IND, 0), end},
        {statement(BPF_ST, BPF_MEMWORDS), end},
        {statement(BPF_ALU | BPF_DIV | BPF_K, 0), end},
        {statement(BPF_ALU | BPF_LSH | BPF_K, 32), end},
        {statement(BPF_ALU | BPF_MOD | BPF_K, 3), end},
        {statement(BPF_JMP | BPF_JA, 1), end},
        {jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), end},
        {jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 255), end},
        std::vector<sock_filter>(BPF_MAXINSNS + 1, end),
    };
    for (std::size_t i = 0; i < broken.size(); ++i) {
        EXPECT_FALSE(is_loadable(broken[i])) << i;
    }
}

}  // namespace
}  // namespace hearth::test
