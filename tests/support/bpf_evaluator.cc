#include "tests/support/bpf_evaluator.h"

#include <array>
#include <cstddef>
#include <cstring>

#include "base/check.h"

namespace hearth::test {
namespace {

constexpr std::uint16_t operation_mask = 0xf0;
constexpr std::uint16_t class_mask = 0x07;

// As net/core/filter.c:bpf_check_classic and kernel/seccomp.c:seccomp_check_filter together.
bool is_known(const sock_filter& op) {
    switch (op.code) {
        case BPF_LD | BPF_W | BPF_ABS:
            return op.k < sizeof(seccomp_data) && op.k % 4 == 0;
        case BPF_LD | BPF_W | BPF_LEN:
        case BPF_LDX | BPF_W | BPF_LEN:
        case BPF_LD | BPF_IMM:
        case BPF_LDX | BPF_IMM:
        case BPF_MISC | BPF_TAX:
        case BPF_MISC | BPF_TXA:
        case BPF_RET | BPF_K:
        case BPF_RET | BPF_A:
            return true;
        case BPF_LD | BPF_MEM:
        case BPF_LDX | BPF_MEM:
        case BPF_ST:
        case BPF_STX:
            return op.k < BPF_MEMWORDS;
        case BPF_ALU | BPF_DIV | BPF_K:
            return op.k != 0;
        case BPF_ALU | BPF_LSH | BPF_K:
        case BPF_ALU | BPF_RSH | BPF_K:
            return op.k < 32;
        case BPF_ALU | BPF_ADD | BPF_K:
        case BPF_ALU | BPF_ADD | BPF_X:
        case BPF_ALU | BPF_SUB | BPF_K:
        case BPF_ALU | BPF_SUB | BPF_X:
        case BPF_ALU | BPF_MUL | BPF_K:
        case BPF_ALU | BPF_MUL | BPF_X:
        case BPF_ALU | BPF_DIV | BPF_X:
        case BPF_ALU | BPF_AND | BPF_K:
        case BPF_ALU | BPF_AND | BPF_X:
        case BPF_ALU | BPF_OR | BPF_K:
        case BPF_ALU | BPF_OR | BPF_X:
        case BPF_ALU | BPF_XOR | BPF_K:
        case BPF_ALU | BPF_XOR | BPF_X:
        case BPF_ALU | BPF_LSH | BPF_X:
        case BPF_ALU | BPF_RSH | BPF_X:
        case BPF_ALU | BPF_NEG:
        case BPF_JMP | BPF_JA:
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JEQ | BPF_X:
        case BPF_JMP | BPF_JGT | BPF_K:
        case BPF_JMP | BPF_JGT | BPF_X:
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_X:
        case BPF_JMP | BPF_JSET | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_X:
            return true;
        default:
            return false;
    }
}

struct machine {
    std::uint32_t a = 0;
    std::uint32_t x = 0;
    std::array<std::uint32_t, BPF_MEMWORDS> memory{};
};

std::uint32_t compute(std::uint16_t operation, std::uint32_t a, std::uint32_t operand) {
    switch (operation) {
        case BPF_ADD:
            return a + operand;
        case BPF_SUB:
            return a - operand;
        case BPF_MUL:
            return a * operand;
        case BPF_DIV:
            return operand == 0 ? 0 : a / operand;
        case BPF_AND:
            return a & operand;
        case BPF_OR:
            return a | operand;
        case BPF_XOR:
            return a ^ operand;
        case BPF_LSH:
            return a << (operand & 31);
        case BPF_RSH:
            return a >> (operand & 31);
        default:
            return -a;  // BPF_NEG
    }
}

bool holds(std::uint16_t operation, std::uint32_t a, std::uint32_t operand) {
    switch (operation) {
        case BPF_JEQ:
            return a == operand;
        case BPF_JGT:
            return a > operand;
        case BPF_JGE:
            return a >= operand;
        default:
            return (a & operand) != 0;  // BPF_JSET
    }
}

std::uint32_t loaded(const sock_filter& op, const machine& state, const seccomp_data& call) {
    std::uint32_t word = 0;
    switch (op.code & 0xe0) {
        case BPF_ABS:
            std::memcpy(&word, reinterpret_cast<const char*>(&call) + op.k, sizeof word);
            return word;
        case BPF_LEN:
            return sizeof call;
        case BPF_MEM:
            return state.memory.at(op.k);
        default:
            return op.k;  // BPF_IMM
    }
}

}  // namespace

bool is_loadable(std::span<const sock_filter> program) {
    if (program.empty() || program.size() > BPF_MAXINSNS) {
        return false;
    }
    for (std::size_t at = 0; at < program.size(); ++at) {
        const sock_filter& op = program[at];
        const std::size_t left = program.size() - at - 1;
        if (!is_known(op)) {
            return false;
        }
        if ((op.code & class_mask) == BPF_JMP &&
            ((op.code & operation_mask) == BPF_JA ? op.k >= left
                                                  : op.jt >= left || op.jf >= left)) {
            return false;
        }
    }
    return (program.back().code & class_mask) == BPF_RET;
}

std::uint32_t evaluate(std::span<const sock_filter> program, const seccomp_data& call) {
    machine state;
    for (std::size_t at = 0;; ++at) {
        HEARTH_CHECK(at < program.size(), "a loadable program returns");
        const sock_filter& op = program[at];
        const std::uint16_t operation = op.code & operation_mask;
        const std::uint32_t operand = (op.code & BPF_X) != 0 ? state.x : op.k;
        switch (op.code & class_mask) {
            case BPF_LD:
                state.a = loaded(op, state, call);
                break;
            case BPF_LDX:
                state.x = loaded(op, state, call);
                break;
            case BPF_ST:
                state.memory.at(op.k) = state.a;
                break;
            case BPF_STX:
                state.memory.at(op.k) = state.x;
                break;
            case BPF_ALU:
                state.a = compute(operation, state.a, operand);
                break;
            case BPF_JMP:
                at += operation == BPF_JA ? op.k
                                          : (holds(operation, state.a, operand) ? op.jt : op.jf);
                break;
            case BPF_RET:
                return (op.code & 0x18) == BPF_A ? state.a : op.k;
            default:
                (op.code & 0xf8) == BPF_TAX ? state.x = state.a : state.a = state.x;
                break;
        }
    }
}

}  // namespace hearth::test
