#include "tests/support/kernel_oracle.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

namespace hearth::test {
namespace {

// Errnos that no filter of ours and no system call uses, one for each verdict that is met.
constexpr std::uint32_t errno_first = 3000;
constexpr std::uint32_t not_answered = ~0U;
// The child's own way out: exit_group with these in its last two arguments.
constexpr std::uint32_t way_out_a = 0x5a17'0001;
constexpr std::uint32_t way_out_b = 0x5a17'0002;

struct translated {
    std::vector<sock_filter> program;
    std::vector<std::uint32_t> verdicts;  // verdicts[i] became errno_first + i
};

translated translate(std::span<const sock_filter> from) {
    const auto load = [](std::size_t offset) {
        return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
    };
    const std::size_t fifth = offsetof(seccomp_data, args) + 4 * sizeof(std::uint64_t);
    translated made;
    made.program = {load(offsetof(seccomp_data, nr)),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 5),
                    load(fifth),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, way_out_a, 0, 3),
                    load(fifth + sizeof(std::uint64_t)),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, way_out_b, 0, 1),
                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    for (sock_filter op : from) {
        if (op.code == (BPF_RET | BPF_K)) {
            std::size_t known = 0;
            while (known < made.verdicts.size() && made.verdicts[known] != op.k) {
                ++known;
            }
            if (known == made.verdicts.size()) {
                made.verdicts.push_back(op.k);
            }
            op.k = SECCOMP_RET_ERRNO | (errno_first + static_cast<std::uint32_t>(known));
        }
        made.program.push_back(op);
    }
    return made;
}

long call_native(const seccomp_data& call) {
    long result = call.nr;
    register std::uint64_t fourth asm("r10") = call.args[3];
    register std::uint64_t fifth asm("r8") = call.args[4];
    register std::uint64_t sixth asm("r9") = call.args[5];
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(call.args[0]), "S"(call.args[1]), "d"(call.args[2]), "r"(fourth), "r"(fifth),
                   "r"(sixth)
                 : "rcx", "r11", "memory");
    return result;
}

long call_int80(const seccomp_data& call) {
    long result = call.nr;
    // rbx may be the compiler's own.
    asm volatile(
        "push %%rbx\n\t"
        "mov %[first], %%rbx\n\t"
        "int $0x80\n\t"
        "pop %%rbx"
        : "+a"(result)
        : [first] "r"(call.args[0]), "c"(call.args[1]), "d"(call.args[2]), "S"(call.args[3]),
          "D"(call.args[4])
        : "r8", "r9", "r10", "r11", "memory");
    return static_cast<std::int32_t>(result);
}

using caller = long (*)(const seccomp_data&);

// Everything after the filter is loaded must do without system calls.
[[noreturn]] void make_calls(const translated& filter, std::span<const seccomp_data> calls,
                             caller make, volatile std::uint32_t* answers) {
    const sock_fprog program{.len = static_cast<unsigned short>(filter.program.size()),
                             .filter = const_cast<sock_filter*>(filter.program.data())};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        ::_exit(1);
    }
    for (std::size_t i = 0; i < calls.size(); ++i) {
        answers[i] = static_cast<std::uint32_t>(-make(calls[i]));
    }
    const seccomp_data out{.nr = SYS_exit_group, .args = {0, 0, 0, 0, way_out_a, way_out_b}};
    call_native(out);
    __builtin_trap();
}

std::vector<std::uint32_t> ask(std::span<const sock_filter> program,
                               std::span<const seccomp_data> calls, caller make) {
    const translated filter = translate(program);
    const std::size_t bytes = calls.size() * sizeof(std::uint32_t) + 1;
    void* shared =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    HEARTH_CHECK(shared != MAP_FAILED, "mmap");
    auto* answers = static_cast<std::uint32_t*>(shared);
    const pid_t child = ::fork();
    HEARTH_CHECK(child >= 0, "fork");
    if (child == 0) {
        make_calls(filter, calls, make, answers);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    std::vector<std::uint32_t> verdicts;
    for (std::size_t i = 0; status == 0 && i < calls.size(); ++i) {
        const std::uint32_t known = answers[i] - errno_first;
        verdicts.push_back(known < filter.verdicts.size() ? filter.verdicts[known] : not_answered);
    }
    ::munmap(shared, bytes);
    return verdicts;
}

}  // namespace

std::vector<std::uint32_t> ask_kernel(std::span<const sock_filter> program,
                                      std::span<const seccomp_data> calls) {
    return ask(program, calls, call_native);
}

std::vector<std::uint32_t> ask_kernel_by_int80(std::span<const sock_filter> program,
                                               std::span<const seccomp_data> calls) {
    return ask(program, calls, call_int80);
}

}  // namespace hearth::test
