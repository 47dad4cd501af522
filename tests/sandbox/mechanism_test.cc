// The parts of sandboxd that can be asked without a sandbox.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include <errno.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "sandbox/cgroup_layout.h"
#include "sandbox/options.h"
#include "sandbox/seccomp.h"
#include "sandbox/slots.h"
#include "sandbox/small_file.h"

namespace hearth::sandbox {
namespace {

TEST(cgroup_layout, a_hybrid_host_has_v1_controllers_beside_an_empty_v2_tree) {
    const auto layout = parse_cgroup_layout(
        "30 20 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
        "31 20 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 20 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "33 20 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
        "5:pids:/\n4:memory:/a/b:c\n3:cpu,cpuacct:/x\n0::/\n");
    EXPECT_EQ(layout.unified, "/sys/fs/cgroup/unified");
    EXPECT_EQ(layout.memory, "/sys/fs/cgroup/memory");
    EXPECT_EQ(layout.cpu, "/sys/fs/cgroup/cpu,cpuacct");
    EXPECT_EQ(layout.pids, "/sys/fs/cgroup/pids");
}

TEST(cgroup_layout, a_unified_host_has_one_tree) {
    const auto layout =
        parse_cgroup_layout("30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
                            "0::/system.slice/hearth.service\n");
    EXPECT_EQ(layout.unified, "/sys/fs/cgroup/system.slice/hearth.service");
    EXPECT_EQ(layout.unified_mount, "/sys/fs/cgroup");
    EXPECT_TRUE(layout.memory.empty());
}

TEST(cgroup_layout, in_a_container_the_mount_begins_at_the_containers_cgroup) {
    const auto layout = parse_cgroup_layout(
        "31 20 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        "4:memory:/docker/abc/inner\n");
    EXPECT_EQ(layout.memory, "/sys/fs/cgroup/memory");
}

TEST(cgroup_layout, broken_lines_are_skipped) {
    const auto layout = parse_cgroup_layout("x\n- \n1 2 3 4 5 - cgroup2\n", "\n::\nno colon\n0:");
    EXPECT_TRUE(layout.unified.empty());
}

TEST(small_file, numbers_are_found_by_their_key) {
    EXPECT_EQ(number_after("low 0\noom 3\noom_kill 2\n", "oom_kill"), 2U);
    EXPECT_EQ(number_after("12345\n", {}), 12345U);
    EXPECT_EQ(number_after("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n", "oom_kill"), 4U);
    EXPECT_EQ(number_after("", "oom_kill"), 0U);
}

TEST(slots, a_slot_is_never_handed_out_twice_and_the_longest_free_comes_first) {
    slot_pool pool(2);
    EXPECT_EQ(pool.take(), 0U);
    EXPECT_EQ(pool.take(), 1U);
    EXPECT_EQ(pool.take(), std::nullopt);
    pool.give_back(1);
    pool.give_back(0);
    EXPECT_EQ(pool.take(), 1U);
}

result<daemon_options> parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "hearth-sandboxd");
    std::vector<char*> pointers;
    for (auto& each : arguments) {
        pointers.push_back(each.data());
    }
    return parse_daemon_options(pointers);
}

TEST(options, the_command_line_is_checked) {
    EXPECT_TRUE(parse({"--socket-fd", "3", "--instance", "a-1", "--runtime-dir", "/r"}));
    EXPECT_FALSE(parse({"--socket-fd", "3", "--instance", "a-1"}));
    EXPECT_FALSE(parse({"--socket-fd", "1", "--instance", "a", "--runtime-dir", "/r"}));
    EXPECT_FALSE(parse({"--socket-fd", "3", "--instance", "../a", "--runtime-dir", "/r"}));
    EXPECT_FALSE(parse({"--socket-fd", "3", "--instance", "a", "--runtime-dir", "r"}));
    EXPECT_FALSE(parse({"--socket-fd", "3", "--instance", "a", "--runtime-dir", "/r", "--python",
                        "/home/python"}));
    EXPECT_FALSE(
        parse({"--socket-fd", "3", "--instance", "a", "--runtime-dir", "/r", "--slots", "0"}));
    EXPECT_FALSE(parse({"--unknown"}));
}

// Runs a compiled filter as the kernel does: classic BPF with the instructions that libseccomp
// emits.
std::uint32_t evaluate(const seccomp_program& program, const seccomp_data& data) {
    std::uint32_t accumulator = 0;
    for (std::size_t at = 0; at < program.size(); ++at) {
        const sock_filter& op = program[at];
        switch (op.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + op.k, 4);
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                accumulator &= op.k;
                break;
            case BPF_JMP | BPF_JA:
                at += op.k;
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
                at += accumulator == op.k ? op.jt : op.jf;
                break;
            case BPF_JMP | BPF_JGT | BPF_K:
                at += accumulator > op.k ? op.jt : op.jf;
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                at += accumulator >= op.k ? op.jt : op.jf;
                break;
            case BPF_RET | BPF_K:
                return op.k;
            default:
                ADD_FAILURE() << "instruction " << op.code;
                return 0;
        }
    }
    ADD_FAILURE() << "the program does not return";
    return 0;
}

seccomp_data call_of(int number, std::initializer_list<std::uint64_t> arguments = {}) {
    seccomp_data data{};
    data.nr = number;
    data.arch = AUDIT_ARCH_X86_64;
    std::copy(arguments.begin(), arguments.end(), data.args);
    return data;
}

constexpr std::uint32_t not_there = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::uint32_t denied = SECCOMP_RET_ERRNO | EPERM;

TEST(seccomp, every_number_has_the_verdict_of_its_class) {
    const auto program = compile_function_filter();
    ASSERT_TRUE(program.has_value());
    for (int number = -2; number < 2'000; ++number) {
        const std::uint32_t verdict = evaluate(*program, call_of(number));
        const bool unassigned = number == -1 || (number > 334 && number < 424) || number > 450;
        if (unassigned) {
            EXPECT_EQ(verdict, not_there) << number;
        } else if (number >= 0) {
            EXPECT_TRUE(verdict == SECCOMP_RET_ALLOW || verdict == denied || verdict == not_there)
                << number;
        }
        EXPECT_EQ(evaluate(*program, call_of(number | 0x4000'0000)),
                  number == -1 ? not_there : SECCOMP_RET_KILL_PROCESS)
            << number;
        auto foreign = call_of(number);
        foreign.arch = AUDIT_ARCH_I386;
        EXPECT_EQ(evaluate(*program, foreign), SECCOMP_RET_KILL_PROCESS) << number;
    }
}

TEST(seccomp, the_upper_half_of_an_argument_changes_no_verdict) {
    const auto program = compile_function_filter();
    ASSERT_TRUE(program.has_value());
    for (const int number : {SYS_socket, SYS_socketpair, SYS_clone, SYS_ioctl, SYS_fcntl, SYS_prctl,
                             SYS_personality, SYS_prlimit64, SYS_setsockopt}) {
        for (std::uint64_t a = 0; a < 64; ++a) {
            for (std::uint64_t b = 0; b < 64; ++b) {
                for (std::uint64_t c = 0; c < 8; ++c) {
                    const auto plain = evaluate(*program, call_of(number, {a, b, c}));
                    for (const std::uint64_t high : {1ULL << 32, 1ULL << 63, ~0ULL << 32}) {
                        ASSERT_EQ(
                            evaluate(*program, call_of(number, {a | high, b | high, c | high})),
                            plain)
                            << number << ' ' << a << ' ' << b << ' ' << c;
                    }
                }
            }
        }
    }
}

TEST(seccomp, the_filter_of_init_allows_nothing_but_waiting_and_reporting) {
    const auto program = compile_init_filter();
    ASSERT_TRUE(program.has_value());
    EXPECT_EQ(evaluate(*program, call_of(SYS_wait4)), SECCOMP_RET_ALLOW);
    EXPECT_EQ(evaluate(*program, call_of(SYS_write)), SECCOMP_RET_ALLOW);
    EXPECT_EQ(evaluate(*program, call_of(SYS_openat)), SECCOMP_RET_KILL_PROCESS);
    EXPECT_EQ(evaluate(*program, call_of(SYS_execve)), SECCOMP_RET_KILL_PROCESS);
    EXPECT_EQ(evaluate(*program, call_of(SYS_mount)), SECCOMP_RET_KILL_PROCESS);
}

}  // namespace
}  // namespace hearth::sandbox
