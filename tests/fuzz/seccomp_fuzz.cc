#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <linux/audit.h>

#include "base/check.h"
#include "sandbox/seccomp.h"
#include "tests/support/bpf_evaluator.h"
#include "tests/support/expected_verdicts.h"
#include "tests/support/kernel_oracle.h"

// Calls against the filters. The first byte chooses the filter; then each call is one byte of
// architecture, two of number (with the x32 bit and the far ends), and six arguments of eight
// bytes. Three must agree: our evaluator on the compiled filter, the policy written down a second
// time, and for calls of the native architecture the kernel, which carries none of them out.

namespace {

using namespace hearth;

constexpr std::size_t call_bytes = 3 + 6 * sizeof(std::uint64_t);
constexpr std::size_t calls_max = 64;

const sandbox::seccomp_program& program_of(std::uint8_t choice) {
    static const std::vector<sandbox::seccomp_program> programs{
        sandbox::compile_function_filter().value(), sandbox::compile_init_filter().value(),
        sandbox::compile_intake_filter(false).value(),
        sandbox::compile_intake_filter(true).value()};
    return programs[choice % programs.size()];
}

test::verdict expected(std::uint8_t choice, const seccomp_data& call) {
    switch (choice % 4) {
        case 0:
            return test::expected_for_function(call);
        case 1:
            return test::expected_for_init(call);
        default:
            return test::expected_for_intake(call, choice % 4 == 3);
    }
}

std::uint32_t architecture_of(std::uint8_t choice) {
    switch (choice) {
        case 1:
            return AUDIT_ARCH_I386;
        case 2:
            return AUDIT_ARCH_AARCH64;
        case 3:
            return 0;
        default:
            return AUDIT_ARCH_X86_64;
    }
}

seccomp_data call_from(const std::uint8_t* data) {
    seccomp_data call{};
    call.arch = architecture_of(data[0]);
    const std::uint32_t low = data[1] | (data[2] & 0x07U) << 8;
    const std::uint32_t x32 = (data[2] & 0x40U) << 24;
    const std::uint32_t far = (data[2] & 0x80U) != 0 ? 0xffff'f800U : 0;
    call.nr = static_cast<int>(low | x32 | far);
    std::memcpy(call.args, data + 3, sizeof call.args);
    return call;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1 + call_bytes) {
        return 0;
    }
    const auto& program = program_of(data[0]);
    std::vector<seccomp_data> native;
    for (std::size_t at = 1; at + call_bytes <= size && native.size() < calls_max;
         at += call_bytes) {
        const seccomp_data call = call_from(data + at);
        const std::uint32_t found = test::evaluate(program, call);
        HEARTH_CHECK(test::verdict_of(found) == expected(data[0], call),
                     "as the policy is written");
        if (call.arch == AUDIT_ARCH_X86_64 && !test::is_beside_filters(call.nr)) {
            native.push_back(call);
        }
    }
    const auto answers = test::ask_kernel(program, native);
    HEARTH_CHECK(answers.size() == native.size(), "the kernel takes the filter");
    for (std::size_t i = 0; i < answers.size(); ++i) {
        HEARTH_CHECK(answers[i] == test::evaluate(program, native[i]), "as the kernel decides");
    }
    return 0;
}
