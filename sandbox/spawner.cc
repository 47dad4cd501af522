#include "sandbox/spawner.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/log.h"
#include "sandbox/contain.h"
#include "sandbox/kernel.h"
#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/root_template.h"

namespace hearth::sandbox {
namespace {

// -I: ignore PYTHON… variables and user directories. -S: the bootstrap sets the path itself, in a
// fifth of the time. -B: nothing to write byte code to. -X utf8: text is UTF-8 whatever the locale
// says.
constexpr std::array python_flags{"-I", "-S", "-B", "-X", "utf8", "/runtime/bootstrap.py"};

// Everything a function finds in its environment beside what its owner gave; the bootstrap adds the
// names that Lambda defines. Native libraries read some of these before Python code runs.
constexpr std::array environment{
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "HOME=/tmp",
    "TMPDIR=/tmp",
    "LANG=C.UTF-8",
    "TZ=UTC",
    "OPENBLAS_NUM_THREADS=1",
    "OMP_NUM_THREADS=1",
    "MKL_NUM_THREADS=1",
};

constexpr std::uint64_t descriptors_per_sandbox = 8;
constexpr std::uint64_t descriptors_spare = 128;

result<> raise_descriptor_limit(std::uint32_t slots) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fail_errno("getrlimit");
    }
    const std::uint64_t needed = slots * descriptors_per_sandbox + descriptors_spare;
    if (limit.rlim_cur >= needed) {
        return {};
    }
    limit.rlim_cur = needed;
    limit.rlim_max = std::max<rlim_t>(limit.rlim_max, needed);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fail_errno(concat("raising the limit on open files to ", needed,
                                 " (use fewer --slots or raise LimitNOFILE)"));
    }
    return {};
}

struct pipe_ends {
    unique_fd read;
    unique_fd write;
};

result<pipe_ends> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail_errno("pipe2");
    }
    return pipe_ends{unique_fd(ends[0]), unique_fd(ends[1])};
}

std::unexpected<spawn_failure> fail_at(std::string stage, error cause) {
    return std::unexpected(spawn_failure{std::move(stage), std::move(cause)});
}

// A sandbox that never got its go has done nothing but wait.
void discard(started_sandbox& made) {
    kernel::pidfd_send_signal(made.init_pidfd.get(), SIGKILL);
    ::waitpid(made.init, nullptr, 0);
    if (auto removed = made.group.remove(); !removed) {
        log::error("a cgroup is left behind", {{"error", removed.error().message}});
    }
}

}  // namespace

result<spawner> spawner::prepare(const daemon_options& options) {
    if (::geteuid() != 0) {
        return fail(errc::permission_denied,
                    "hearth-sandboxd must run as root: start the worker as root, it gives up root "
                    "itself once sandboxd runs");
    }
    if (::access(options.python.c_str(), X_OK) != 0) {
        return fail_errno(concat("no Python at ", options.python,
                                 " (apt-get install python3, or pass --python)"));
    }
    if (auto ok = raise_descriptor_limit(options.slots); !ok) {
        return propagate(ok);
    }
    auto cgroups = cgroup_tree::open(options.instance, options.allow_no_limits);
    if (!cgroups) {
        return propagate(cgroups);
    }
    auto mounts = mount_namespaces::separate();
    if (!mounts) {
        return propagate(mounts);
    }
    if (auto ok = build_root_template(options.runtime_dir); !ok) {
        return propagate(ok);
    }
    auto function_filter = compile_function_filter();
    if (!function_filter) {
        return propagate(function_filter);
    }
    auto init_filter = compile_init_filter();
    if (!init_filter) {
        return propagate(init_filter);
    }
    spawner made(std::move(*mounts), std::make_unique<cgroup_tree>(std::move(*cgroups)));
    made.function_filter_ = std::move(*function_filter);
    made.init_filter_ = std::move(*init_filter);
    made.landlock_ = landlock_abi();
    made.python_ = options.python;
    made.own_pidfd_.reset(kernel::pidfd_open(::getpid()));
    if (!made.own_pidfd_) {
        return fail_errno("pidfd_open");
    }
    return made;
}

std::expected<started_sandbox, spawn_failure> spawner::start(
    const create_packet& wanted, std::uint32_t slot, const sandbox_descriptors& descriptors) {
    auto code = mounts_.detach_read_only(descriptors.code.get());
    if (!code) {
        return fail_at("code directory", std::move(code.error()));
    }
    auto go = make_pipe();
    auto status = make_pipe();
    if (!go || !status) {
        return fail_at("pipe", std::move(go ? status.error() : go.error()));
    }
    ::fcntl(status->read.get(), F_SETFL, O_NONBLOCK);
    // So that /dev/stdout can be opened inside; by descriptor, never by name.
    if (::fchown(descriptors.output.get(), host_id_base + slot, host_id_base + slot) != 0) {
        return fail_at("output pipe", fail_errno("fchown").error());
    }
    auto group = cgroups_->make(concat("slot-", slot),
                                {.memory_bytes = std::uint64_t{wanted.memory_mb} << 20,
                                 .pids = wanted.pids + 1,
                                 .cpu_millis = wanted.cpu_millis});
    if (!group) {
        return fail_at("cgroup", std::move(group.error()));
    }

    std::vector<const char*> arguments{python_.c_str()};
    arguments.insert(arguments.end(), python_flags.begin(), python_flags.end());
    arguments.push_back(nullptr);
    std::vector<const char*> variables(environment.begin(), environment.end());
    variables.push_back(nullptr);
    containment plan{.tmp_bytes = wanted.tmp_bytes,
                     .shm_bytes = wanted.shm_bytes,
                     .pids = wanted.pids,
                     .landlock = landlock_,
                     .root = template_path,
                     .go = go->read.get(),
                     .parent = own_pidfd_.get(),
                     .code_mount = code->get(),
                     .control_stream = descriptors.control_stream.get(),
                     .output = descriptors.output.get(),
                     .init = {.function_filter = &function_filter_,
                              .init_filter = &init_filter_,
                              .arguments = const_cast<char* const*>(arguments.data()),
                              .environment = const_cast<char* const*>(variables.data()),
                              .status = status->write.get()}};
    auto cloned = clone_into_namespaces(group->placement());
    if (!cloned) {
        [[maybe_unused]] const auto removed = group->remove();
        return fail_at("clone3", std::move(cloned.error()));
    }
    if (cloned->process == 0) {
        // Its own copy of the go pipe's write end would hide that sandboxd closed the other.
        ::close(go->write.get());
        contain(plan);
    }
    started_sandbox made{.group = std::move(*group),
                         .init = cloned->process,
                         .init_pidfd = std::move(cloned->pidfd),
                         .status = std::move(status->read)};
    if (auto ok = admit(made, slot, go->write); !ok) {
        discard(made);
        return fail_at("admission", std::move(ok.error()));
    }
    return made;
}

result<> spawner::admit(const started_sandbox& made, std::uint32_t slot, unique_fd& go) const {
    if (auto ok = made.group.admit(made.init); !ok) {
        return ok;
    }
    if (auto ok = map_ids(made.init, host_id_base + slot); !ok) {
        return ok;
    }
    if (::write(go.get(), "g", 1) != 1) {
        return fail_errno("releasing the sandbox");
    }
    return {};
}

}  // namespace hearth::sandbox
