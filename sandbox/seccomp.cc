#include "sandbox/seccomp.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"
#include "sandbox/seccomp_policy.h"

namespace hearth::sandbox {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t native_architecture = AUDIT_ARCH_X86_64;
constexpr std::uint32_t last_before_gap = 334;  // rseq; then uretprobe and uprobe, then nothing
#elif defined(__aarch64__)
constexpr std::uint32_t native_architecture = AUDIT_ARCH_AARCH64;
constexpr std::uint32_t last_before_gap = 294;  // kexec_file_load
#else
#error "the sandbox's system call policy is written for x86-64 and aarch64"
#endif
// From pidfd_send_signal on, all architectures share their numbers.
constexpr std::uint32_t first_after_gap = 424;
constexpr std::uint32_t newest_known = 450;  // set_mempolicy_home_node, Linux 5.17
constexpr std::uint32_t x32_bit = 0x4000'0000;

struct release_filter {
    void operator()(void* context) const { ::seccomp_release(context); }
};
using filter_context = std::unique_ptr<void, release_filter>;

std::unexpected<error> fail_library(std::string_view what, int negative_errno) {
    return fail_errno(concat("libseccomp: ", what), -negative_errno);
}

result<filter_context> make_context(std::uint32_t default_action) {
    filter_context context(::seccomp_init(default_action));
    if (!context) {
        return fail(errc::internal, "libseccomp: seccomp_init failed");
    }
    constexpr int binary_tree = 2;
    int status = ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (status == 0) {
        status = ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, binary_tree);
    }
    if (status != 0) {
        return fail_library("seccomp_attr_set", status);
    }
    return context;
}

result<> add_calls(const filter_context& context, std::uint32_t action,
                   std::span<const char* const> names) {
    for (const char* name : names) {
        const int number = ::seccomp_syscall_resolve_name(name);
        // Negative: the call does not exist on this architecture.
        if (number < 0) {
            continue;
        }
        if (const int status = ::seccomp_rule_add(context.get(), action, number, 0); status != 0) {
            return fail_library(name, status);
        }
    }
    return {};
}

result<> add_rules(const filter_context& context, std::span<const argument_rule> rules) {
    for (const argument_rule& rule : rules) {
        const int number = ::seccomp_syscall_resolve_name(rule.call);
        std::array<scmp_arg_cmp, 3> compares{};
        unsigned count = 0;
        for (const argument_match& match : {rule.first, rule.second, rule.third}) {
            if (match.mask != 0) {
                compares[count++] = {.arg = match.index,
                                     .op = SCMP_CMP_MASKED_EQ,
                                     .datum_a = match.mask,
                                     .datum_b = match.value};
            }
        }
        const int status =
            ::seccomp_rule_add_array(context.get(), SCMP_ACT_ALLOW, number, count, compares.data());
        if (status != 0) {
            return fail_library(rule.call, status);
        }
    }
    return {};
}

result<seccomp_program> export_program(const filter_context& context) {
    const unique_fd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) {
        return fail_errno("memfd_create");
    }
    if (const int status = ::seccomp_export_bpf(context.get(), file.get()); status != 0) {
        return fail_library("seccomp_export_bpf", status);
    }
    const off_t bytes = ::lseek(file.get(), 0, SEEK_END);
    if (bytes <= 0 || static_cast<std::size_t>(bytes) % sizeof(sock_filter) != 0) {
        return fail(errc::internal, "libseccomp exported a broken program");
    }
    seccomp_program program(static_cast<std::size_t>(bytes) / sizeof(sock_filter));
    if (::pread(file.get(), program.data(), static_cast<std::size_t>(bytes), 0) != bytes) {
        return fail_errno("reading the exported seccomp program");
    }
    return program;
}

// libseccomp has one default action; EPERM is right for calls that exist. These instructions in
// front answer ENOSYS for numbers nobody has assigned, or assigned after this policy was written.
void prepend_unknown_numbers(seccomp_program& program) {
    constexpr std::uint32_t absent = SECCOMP_RET_ERRNO | ENOSYS;
    const auto load = [](std::size_t offset) {
        return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
    };
    const std::array<sock_filter, 10> prologue{{
        load(offsetof(seccomp_data, arch)),
        // A foreign architecture is left to the program, which kills it.
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, native_architecture, 0, 8),
        load(offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffff'ffff, 5, 0),
        // So is x32.
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_known, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first_after_gap, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last_before_gap, 1, 0),
        BPF_STMT(BPF_JMP | BPF_JA, 1),
        BPF_STMT(BPF_RET | BPF_K, absent),
    }};
    program.insert(program.begin(), prologue.begin(), prologue.end());
}

// Lets through, for other filters to decide, what is none of these calls. Whatever looks foreign
// goes to the program, which kills it.
void prepend_choice_of_calls(seccomp_program& program, std::span<const char* const> names) {
    seccomp_program prologue{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 static_cast<std::uint32_t>(offsetof(seccomp_data, arch))),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, native_architecture, 1, 0),
        BPF_STMT(BPF_JMP | BPF_JA, 0),  // over the rest; its length is known below
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offsetof(seccomp_data, nr)))};
    std::vector<std::uint32_t> numbers;
    for (const char* name : names) {
        if (const int number = ::seccomp_syscall_resolve_name(name); number >= 0) {
            numbers.push_back(static_cast<std::uint32_t>(number));
        }
    }
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const auto to_program = static_cast<std::uint8_t>(numbers.size() - i);
        prologue.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], to_program, 0));
    }
    prologue.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    prologue[2].k = static_cast<std::uint32_t>(prologue.size() - 3);
    program.insert(program.begin(), prologue.begin(), prologue.end());
}

bool is_for_joining(std::string_view call) {
    return std::ranges::any_of(joining_calls(), [call](const char* each) { return call == each; });
}

// The policy for those calls that `is_meant` names.
template <class Predicate>
result<filter_context> make_policy_context(Predicate is_meant) {
    auto context = make_context(SCMP_ACT_ERRNO(EPERM));
    if (!context) {
        return context;
    }
    const auto add = [&](std::uint32_t action, std::span<const char* const> from) {
        std::vector<const char*> names;
        std::ranges::copy_if(from, std::back_inserter(names), is_meant);
        return add_calls(*context, action, names);
    };
    if (auto ok = add(SCMP_ACT_ALLOW, allowed_calls()); !ok) {
        return propagate(ok);
    }
    if (auto ok = add(SCMP_ACT_ERRNO(ENOSYS), absent_calls()); !ok) {
        return propagate(ok);
    }
    std::vector<argument_rule> rules;
    std::ranges::copy_if(argument_rules(), std::back_inserter(rules), is_meant,
                         &argument_rule::call);
    if (auto ok = add_rules(*context, rules); !ok) {
        return propagate(ok);
    }
    return context;
}

template <class Predicate>
result<seccomp_program> compile_policy(Predicate is_meant, std::span<const char* const> beyond) {
    auto context = make_policy_context(is_meant);
    if (!context) {
        return propagate(context);
    }
    if (auto ok = add_calls(*context, SCMP_ACT_ALLOW, beyond); !ok) {
        return propagate(ok);
    }
    auto program = export_program(*context);
    if (program) {
        prepend_unknown_numbers(*program);
    }
    return program;
}

}  // namespace

result<seccomp_program> compile_function_filter() {
    return compile_policy([](std::string_view) { return true; }, {});
}

result<seccomp_program> compile_zygote_filter() {
    return compile_policy(std::not_fn(is_for_joining), joining_calls());
}

result<seccomp_program> compile_sealing_filter() {
    auto context = make_policy_context(is_for_joining);
    if (!context) {
        return propagate(context);
    }
    auto program = export_program(*context);
    if (program) {
        prepend_choice_of_calls(*program, joining_calls());
    }
    return program;
}

result<seccomp_program> compile_init_filter() {
    auto context = make_context(SCMP_ACT_KILL_PROCESS);
    if (!context) {
        return propagate(context);
    }
    if (auto ok = add_calls(*context, SCMP_ACT_ALLOW, init_calls()); !ok) {
        return propagate(ok);
    }
    return export_program(*context);
}

result<seccomp_program> compile_intake_filter(bool writes) {
    auto context = make_context(SCMP_ACT_KILL_PROCESS);
    if (!context) {
        return propagate(context);
    }
    if (auto ok = add_calls(*context, SCMP_ACT_ALLOW, intake_calls()); !ok) {
        return propagate(ok);
    }
    if (writes) {
        if (auto ok = add_calls(*context, SCMP_ACT_ALLOW, unpack_calls()); !ok) {
            return propagate(ok);
        }
    }
    if (auto ok = add_rules(*context, writes ? unpack_rules() : check_rules()); !ok) {
        return propagate(ok);
    }
    return export_program(*context);
}

bool load_filter(const seccomp_program& program) noexcept {
    if (program.empty() || program.size() > std::numeric_limits<unsigned short>::max()) {
        errno = EINVAL;
        return false;
    }
    const sock_fprog loaded{.len = static_cast<unsigned short>(program.size()),
                            .filter = const_cast<sock_filter*>(program.data())};
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &loaded) == 0;
}

}  // namespace hearth::sandbox
