#include "sandbox/zygote.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "sandbox/embedded_python.h"
#include "sandbox/fork_pages.h"
#include "sandbox/join.h"
#include "sandbox/kernel.h"
#include "sandbox/namespaces.h"
#include "sandbox/root_template.h"
#include "sandbox/small_file.h"
#include "sandbox/status_pipe.h"

namespace hearth::sandbox {
namespace {

// Python's stack in a fork: what the main thread of a program gets (rlimits.h), and a guard page.
constexpr std::size_t stack_bytes = 8U << 20;
constexpr std::size_t guard_bytes = 4096;

// What joining a sandbox takes: setns, setns of a mount namespace, and reading the namespaces of an
// init that hides.
constexpr std::uint32_t kept_capabilities =
    (1U << CAP_SYS_ADMIN) | (1U << CAP_SYS_CHROOT) | (1U << CAP_SYS_PTRACE);

result<> keep_capabilities(std::uint32_t kept) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, 2> sets{};
    sets[0].effective = kept;
    sets[0].permitted = kept;
    if (::syscall(SYS_capset, &header, sets.data()) != 0 ||
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fail_errno("giving up privileges of the zygote");
    }
    return {};
}

result<std::size_t> count_entries(int directory) {
    // A descriptor of its own position; fdopendir takes it over.
    DIR* listing = ::fdopendir(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (listing == nullptr) {
        return fail_errno("listing the zygote's descriptors");
    }
    std::size_t count = 0;
    while (::readdir(listing) != nullptr) {
        ++count;
    }
    ::closedir(listing);
    return count;
}

// The helper's process id in the sandbox. Far off, so that Python's is 2 as when it is executed.
constexpr pid_t helper_id = 30'000;

struct fork_call {
    const fork_request* request;
    const received_packet* packet;
    const seccomp_program* filter;
    std::span<const int> task_lists;
    pid_t python = -1;  // in the sandbox's pid namespace
    int os_error = 0;
    const char* failed_step = nullptr;

    [[nodiscard]] int descriptor(fork_descriptor which) const {
        return packet->descriptors[static_cast<std::size_t>(which)].get();
    }
};

[[noreturn]] void become_python(const fork_call& call) {
    joining plan{.file_bytes_max = call.request->file_bytes_max,
                 .pids = call.request->pids,
                 .landlock = call.request->landlock,
                 .init = call.descriptor(fork_descriptor::init),
                 .control_stream = call.descriptor(fork_descriptor::control_stream),
                 .output = call.descriptor(fork_descriptor::output),
                 .status = call.descriptor(fork_descriptor::status),
                 .filter = call.filter};
    join(plan);
    ::prctl(PR_SET_NAME, "python3", 0, 0, 0);
    // After `sealed`: sandboxd and the worker have their next steps to do meanwhile.
    fork_pages::copy_ahead();
    embedded_python::after_fork_in_child();
    embedded_python::serve(call.request->parked == 1);
}

// Runs in a process that shares the zygote's memory while the zygote waits (as after vfork), and is
// a process of the sandbox for that moment. It enters the cgroups, so that Python is born with its
// limits; it forks Python; and it ends, which makes Python a child of the sandbox's init. No page
// is copied for it: the only copy of the zygote is Python.
int fork_python(void* argument) {
    fork_call& call = *static_cast<fork_call*>(argument);
    if (!enter_cgroups(call.task_lists)) {
        call.os_error = errno;
        call.failed_step = "zygote: cgroup";
        return 1;
    }
    call.python = ::fork();
    if (call.python == 0) {
        become_python(call);
    }
    if (call.python < 0) {
        call.os_error = errno;
        call.failed_step = "zygote: fork";
    }
    return 0;
}

}  // namespace

result<zygote> zygote::prepare(int socket, const std::string& python, const char* family,
                               const char* modules) {
    zygote made(socket);
    if (auto ok = made.isolate(); !ok) {
        return propagate(ok);
    }
    if (auto ok = made.make_stack(); !ok) {
        return propagate(ok);
    }
    // Before the imports: what a module does as it is loaded is done with these alone.
    if (auto ok = keep_capabilities(kept_capabilities); !ok) {
        return propagate(ok);
    }
    auto own_filter = compile_zygote_filter();
    if (!own_filter) {
        return propagate(own_filter);
    }
    auto sealing_filter = compile_sealing_filter();
    if (!sealing_filter) {
        return propagate(sealing_filter);
    }
    made.filter_ = std::move(*sealing_filter);
    if (auto ok = embedded_python::prepare({.python = python,
                                            .family = family,
                                            .modules = modules,
                                            .descriptors = made.descriptors_.get(),
                                            .stack = made.stack_end_ - 1});
        !ok) {
        return propagate(ok);
    }
    auto open = count_entries(made.descriptors_.get());
    if (!open) {
        return propagate(open);
    }
    made.descriptors_open_ = *open;
    if (auto ok = made.check_self(0); !ok) {
        return propagate(ok);
    }
    if (!load_filter(*own_filter)) {
        return fail_errno("seccomp of the zygote");
    }
    return made;
}

result<> zygote::isolate() {
    // Whatever it is doing, it ends with hearth-sandboxd. What follows changes no credential that
    // would clear this.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return fail_errno("PR_SET_PDEATHSIG of the zygote");
    }
    // No terminal and no signal meant for the worker's process group.
    if (::setsid() < 0 && errno != EPERM) {
        return fail_errno("setsid of the zygote");
    }
    if (!drop_groups() || ::unshare(CLONE_NEWNET) != 0) {
        return fail_errno("isolating the zygote");
    }
    // Forks inherit it, and cannot lower it again.
    if (auto ok = write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", oom_score_adjustment); !ok) {
        return ok;
    }
    constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    own_pids_.reset(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    threads_.reset(::open("/proc/self/task", directory_flags));
    descriptors_.reset(::open("/proc/self/fd", directory_flags));
    if (!own_pids_ || !threads_ || !descriptors_) {
        return fail_errno("opening the zygote's own /proc");
    }
    // Modules must be imported by the paths that sandboxes have.
    if (::chroot(template_path) != 0 || ::chdir("/") != 0) {
        return fail_errno("chroot of the zygote");
    }
    return {};
}

result<> zygote::make_stack() {
    void* memory = ::mmap(nullptr, stack_bytes + guard_bytes, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return fail_errno("mmap of a stack");
    }
    auto* first = static_cast<std::byte*>(memory) + guard_bytes;
    if (::mprotect(first, stack_bytes, PROT_READ | PROT_WRITE) != 0) {
        return fail_errno("mprotect of a stack");
    }
    stack_end_ = first + stack_bytes;
    return {};
}

// A fork copies the calling thread alone, and whatever else is open.
result<> zygote::check_self(std::size_t received) const {
    struct stat threads{};
    constexpr nlink_t links_of_one_thread = 3;
    if (::fstat(threads_.get(), &threads) != 0 || threads.st_nlink != links_of_one_thread) {
        return fail(errc::internal, "the zygote has more than one thread");
    }
    auto open = count_entries(descriptors_.get());
    if (!open) {
        return propagate(open);
    }
    if (*open != descriptors_open_ + received) {
        return fail(errc::internal, concat("the zygote has ", *open, " descriptors, not ",
                                           descriptors_open_ + received));
    }
    return {};
}

result<> zygote::run() {
    for (;;) {
        pollfd readable{.fd = socket_, .events = POLLIN, .revents = 0};
        if (::poll(&readable, 1, -1) < 0 && errno != EINTR) {
            return fail_errno("poll of the zygote");
        }
        received_packet packet;
        auto state = receive_packet(socket_, packet);
        if (!state) {
            return propagate(state);
        }
        if (*state == receive_state::closed) {
            return {};
        }
        if (*state == receive_state::empty) {
            continue;
        }
        auto request = decode_fork_request(packet.view(), packet.descriptor_count);
        if (!request) {
            return propagate(request);
        }
        if (auto ok = check_self(packet.descriptor_count); !ok) {
            return ok;
        }
        fork_into(*request, packet);
    }
}

void zygote::fork_into(const fork_request& request, const received_packet& packet) {
    std::array<int, packet_descriptors_max> task_lists{};
    std::size_t lists = 0;
    const std::size_t first_list = fork_descriptors_min + request.placed;
    for (std::size_t i = first_list; i < packet.descriptor_count; ++i) {
        task_lists[lists++] = packet.descriptors[i].get();
    }
    fork_call call{.request = &request,
                   .packet = &packet,
                   .filter = &filter_,
                   .task_lists = std::span(task_lists).first(lists)};
    const int init = call.descriptor(fork_descriptor::init);
    const int status = call.descriptor(fork_descriptor::status);
    // Children are born there; the zygote itself stays where it is.
    if (::setns(init, CLONE_NEWPID) != 0) {
        write_status(status, status_kind::failed, errno, "zygote: pid namespace");
        return;
    }
    pid_t inside_id_of_helper = helper_id;
    clone_args arguments{};
    arguments.flags = CLONE_VM | CLONE_VFORK;
    if (request.placed == 1) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = static_cast<std::uint64_t>(call.descriptor(fork_descriptor::cgroups));
    }
    arguments.exit_signal = SIGCHLD;
    arguments.stack = reinterpret_cast<std::uint64_t>(stack_end_ - stack_bytes);
    arguments.stack_size = stack_bytes;
    arguments.set_tid = reinterpret_cast<std::uint64_t>(&inside_id_of_helper);
    arguments.set_tid_size = 1;
    embedded_python::before_fork();
    const auto helper = static_cast<pid_t>(kernel::clone3_calling(arguments, fork_python, &call));
    if (helper < 0) {
        call.os_error = errno;
        call.failed_step = "zygote: clone";
    }
    embedded_python::after_fork_in_parent();
    ::setns(own_pids_.get(), CLONE_NEWPID);
    if (helper > 0) {
        // Only the end of the helper makes init the parent of Python.
        while (::waitpid(helper, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
    if (call.python <= 0) {
        write_status(status, status_kind::failed, call.os_error,
                     call.failed_step == nullptr ? "zygote: killed" : call.failed_step);
        return;
    }
    // A closed pipe: the sandbox has ended meanwhile.
    [[maybe_unused]] const ssize_t told =
        ::write(call.descriptor(fork_descriptor::adoption), &call.python, sizeof call.python);
}

}  // namespace hearth::sandbox
