#include "sandbox/spawner.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

struct pipe_ends {
    unique_fd read;
    unique_fd write;
};

// Everything that a new sandbox is connected by.
struct wiring {
    pipe_ends go;
    pipe_ends status;
    pipe_ends output;
    pipe_ends adoption;
    unique_fd stream;
    unique_fd stream_inside;
};

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

constexpr std::uint64_t descriptors_per_sandbox = 20;  // with those of a parked one for its worker
constexpr std::uint64_t descriptors_per_zygote = 2;
constexpr std::uint64_t descriptors_spare = 128;
// A user may have as many descriptors in flight over sockets as may be open, and those that
// functions send themselves count where they are the same user.
constexpr std::uint64_t descriptors_in_flight = 2 * open_files_max;

result<> raise_descriptor_limit(std::uint32_t slots, std::uint32_t zygotes, bool one_user) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fail_errno("getrlimit");
    }
    const std::uint64_t own =
        slots * descriptors_per_sandbox + zygotes * descriptors_per_zygote + descriptors_spare;
    const std::uint64_t needed = one_user ? std::max(own, descriptors_in_flight) : own;
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

result<pipe_ends> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail_errno("pipe2");
    }
    return pipe_ends{unique_fd(ends[0]), unique_fd(ends[1])};
}

// How much of an event, or of a result, can be under way at once. Each time that it is full costs a
// switch between worker and sandbox, which wait their turn on a busy host. It is a bound, not
// memory that is set aside; what a sandbox leaves unread in it lies outside its memory limit, hence
// the smaller one. The kernel doubles both, for its own records (socket(7)).
constexpr int event_buffer_bytes = 2 << 20;
constexpr int result_buffer_bytes = 512 << 10;

void widen(int socket, int bytes) {
    // Beyond net.core.wmem_max only with CAP_NET_ADMIN; without it, up to that.
    if (::setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
        ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
}

result<wiring> make_wiring(uid_t owner) {
    wiring made;
    for (pipe_ends* each : {&made.go, &made.status, &made.output, &made.adoption}) {
        auto ends = make_pipe();
        if (!ends) {
            return propagate(ends);
        }
        *each = std::move(*ends);
    }
    std::array<int, 2> stream{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream.data()) != 0) {
        return fail_errno("socketpair");
    }
    made.stream.reset(stream[0]);
    made.stream_inside.reset(stream[1]);
    widen(made.stream.get(), event_buffer_bytes);
    widen(made.stream_inside.get(), result_buffer_bytes);
    // Only the read ends do not block: a write end that answers EAGAIN would lose the function's
    // output. The sandbox's user owns that pipe, so that /dev/stdout can be opened inside.
    if (::fcntl(made.status.read.get(), F_SETFL, O_NONBLOCK) != 0 ||
        ::fcntl(made.output.read.get(), F_SETFL, O_NONBLOCK) != 0 ||
        ::fchown(made.output.write.get(), owner, owner) != 0) {
        return fail_errno("preparing a pipe");
    }
    return made;
}

cgroup_limits limits_of(const create_packet& wanted) {
    return {.memory_bytes = std::uint64_t{wanted.memory_mb} << 20,
            .pids = wanted.pids + 1,
            .cpu_millis = wanted.cpu_millis};
}

std::unexpected<spawn_failure> fail_at(std::string stage, error cause) {
    return std::unexpected(spawn_failure{std::move(stage), std::move(cause)});
}

// Beside hearth-sandboxd; nothing where it is not installed. Opened before the root template may
// cover its path.
unique_fd open_zygote_program() {
    std::array<char, PATH_MAX> own{};
    const ssize_t length = ::readlink("/proc/self/exe", own.data(), own.size());
    const std::string_view path(own.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
    const std::string beside = concat(path.substr(0, path.rfind('/') + 1), "hearth-zygote");
    return unique_fd(::open(beside.c_str(), O_PATH | O_CLOEXEC));
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

create_packet parked_limits() {
    return {};
}

bool fits_parked(const create_packet& wanted) {
    const create_packet parked = parked_limits();
    return wanted.pids == parked.pids && wanted.tmp_bytes == parked.tmp_bytes &&
           wanted.shm_bytes == parked.shm_bytes && wanted.family == parked.family;
}

result<spawner> spawner::prepare(const daemon_options& options) {
    if (::access(options.python.c_str(), X_OK) != 0) {
        return fail_errno(concat("no Python at ", options.python,
                                 " (apt-get install python3, or pass --python)"));
    }
    if (auto ok =
            raise_descriptor_limit(options.slots, options.zygote_functions + options.zygote_spares,
                                   options.ids.one_for_all());
        !ok) {
        return propagate(ok);
    }
    unique_fd zygote_program;
    if (options.zygote != zygote_mode::off) {
        zygote_program = open_zygote_program();
        if (!zygote_program) {
            log::warning(
                "hearth-zygote is not installed beside hearth-sandboxd: functions start slower");
        }
    }
    if (auto ok = options.ids.check(); !ok) {
        return propagate(ok);
    }
    auto cgroups =
        cgroup_tree::open(options.instance, options.allow_no_limits, options.ids.is_rootless());
    if (!cgroups) {
        return propagate(cgroups);
    }
    auto mounts = mount_namespaces::separate(options.ids.is_rootless());
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
    spawner made(options.ids, std::move(*mounts),
                 std::make_unique<cgroup_tree>(std::move(*cgroups)));
    made.function_filter_ = std::move(*function_filter);
    made.init_filter_ = std::move(*init_filter);
    made.landlock_ = landlock_abi();
    made.python_ = options.python;
    made.own_pidfd_.reset(kernel::pidfd_open(::getpid()));
    if (!made.own_pidfd_) {
        return fail_errno("pidfd_open");
    }
    auto zygotes = zygote_supply::make(options, zygote_program, environment);
    if (!zygotes) {
        return propagate(zygotes);
    }
    made.zygotes_.emplace(std::move(*zygotes));
    return made;
}

std::expected<started_sandbox, spawn_failure> spawner::start(const create_packet& wanted,
                                                             std::uint32_t slot, int code,
                                                             start_way way) {
    unique_fd code_mount;
    if (code >= 0) {
        auto detached = mounts_.detach_read_only(code);
        if (!detached) {
            return fail_at("code directory", std::move(detached.error()));
        }
        code_mount = std::move(*detached);
    }
    auto wires = make_wiring(ids_.of(slot));
    if (!wires) {
        return fail_at("descriptors", std::move(wires.error()));
    }
    auto group = cgroups_->make(concat("slot-", slot), limits_of(wanted));
    if (!group) {
        return fail_at("cgroup", std::move(group.error()));
    }
    auto lists = group->open_task_lists();
    if (!lists) {
        [[maybe_unused]] const auto removed = group->remove();
        return fail_at("cgroup", std::move(lists.error()));
    }
    auto cloned = clone_into_namespaces(group->placement());
    if (!cloned) {
        [[maybe_unused]] const auto removed = group->remove();
        return fail_at("clone3", std::move(cloned.error()));
    }
    if (cloned->process == 0) {
        become_sandbox(wanted, *wires, *lists, code_mount.get(), way);
    }
    const std::uint8_t group_is_placed = group->placement() >= 0 ? 1 : 0;
    started_sandbox made{.group = std::move(*group),
                         .init = cloned->process,
                         .init_pidfd = std::move(cloned->pidfd),
                         .status = std::move(wires->status.read),
                         .control_stream = std::move(wires->stream),
                         .output = std::move(wires->output.read)};
    if (way == start_way::zygote) {
        made.waiting = shell{.request = {.file_bytes_max = wanted.tmp_bytes,
                                         .pids = wanted.pids,
                                         .landlock = static_cast<std::uint16_t>(landlock_),
                                         .placed = group_is_placed},
                             .control_stream = std::move(wires->stream_inside),
                             .output = std::move(wires->output.write),
                             .status = std::move(wires->status.write),
                             .adoption = std::move(wires->adoption.write)};
    }
    if (code < 0) {
        made.mount_namespace.reset(
            ::open(concat("/proc/", made.init, "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
        if (!made.mount_namespace) {
            error cause = fail_errno("open of a sandbox's mount namespace").error();
            discard(made);
            return fail_at("mount namespace", std::move(cause));
        }
    }
    if (auto ok = admit(made, slot, wires->go.write); !ok) {
        discard(made);
        return fail_at("admission", std::move(ok.error()));
    }
    return made;
}

// The cloned child. It works on its copy of the memory and must not allocate.
void spawner::become_sandbox(const create_packet& wanted, wiring& wires,
                             std::span<const unique_fd> lists, int code_mount,
                             start_way way) const noexcept {
    // Its own copies of these write ends would hide that sandboxd closed the others.
    ::close(wires.go.write.get());
    ::close(wires.adoption.write.get());
    std::array<const char*, python_flags.size() + 2> arguments{python_.c_str()};
    std::ranges::copy(python_flags, arguments.begin() + 1);
    std::array<const char*, environment.size() + 1> variables{};
    std::ranges::copy(environment, variables.begin());
    std::array<int, cgroup_hierarchies_max> task_lists{};
    std::ranges::transform(lists, task_lists.begin(), &unique_fd::get);
    const bool is_shell = way == start_way::zygote;
    const int adoption = wires.adoption.read.get();
    containment plan{
        .tmp_bytes = wanted.tmp_bytes,
        .shm_bytes = wanted.shm_bytes,
        .pids = wanted.pids,
        .landlock = landlock_,
        .root = template_path,
        .go = wires.go.read.get(),
        .task_lists = std::span(task_lists).first(lists.size()),
        .parent = own_pidfd_.get(),
        .code_mount = code_mount,
        .control_stream = is_shell ? adoption : wires.stream_inside.get(),
        .output = is_shell ? adoption : wires.output.write.get(),
        .init = {.function_filter = &function_filter_,
                 .init_filter = &init_filter_,
                 .arguments = is_shell ? nullptr : const_cast<char* const*>(arguments.data()),
                 .environment = const_cast<char* const*>(variables.data()),
                 .status = wires.status.write.get()}};
    contain(plan);
}

std::expected<void, spawn_failure> spawner::fork_python(started_sandbox& made, bool to_be_parked) {
    if (!made.waiting) {
        return fail_at("zygote", {errc::internal, "no shell waits"});
    }
    // The zygote gets copies; these ends close here whatever comes.
    shell ends = std::move(*made.waiting);
    made.waiting.reset();
    ends.request.parked = to_be_parked ? 1 : 0;
    auto lists = made.group.open_task_lists();
    if (!lists) {
        return fail_at("cgroup", std::move(lists.error()));
    }
    const int placement = made.group.placement();
    std::vector<int> descriptors{made.init_pidfd.get(), ends.control_stream.get(),
                                 ends.output.get(), ends.status.get(), ends.adoption.get()};
    if (placement >= 0) {
        descriptors.push_back(placement);
    }
    for (const unique_fd& each : *lists) {
        descriptors.push_back(each.get());
    }
    if (auto ok = zygotes_->fork(made.zygote, ends.request, descriptors); !ok) {
        return fail_at("zygote", std::move(ok.error()));
    }
    return {};
}

std::expected<void, spawn_failure> spawner::specialise(const started_sandbox& ahead,
                                                       const create_packet& wanted,
                                                       int code) const {
    const create_packet made_with = parked_limits();
    if (wanted.memory_mb != made_with.memory_mb || wanted.cpu_millis != made_with.cpu_millis) {
        if (auto ok = ahead.group.set_limits(limits_of(wanted)); !ok) {
            return fail_at("cgroup", std::move(ok.error()));
        }
    }
    auto tree = mounts_.detach_read_only(code);
    if (!tree) {
        return fail_at("code directory", std::move(tree.error()));
    }
    if (auto ok = mounts_.attach(tree->get(), ahead.mount_namespace.get(), "/code"); !ok) {
        return fail_at("code mount", std::move(ok.error()));
    }
    return {};
}

result<> spawner::admit(const started_sandbox& made, std::uint32_t slot, unique_fd& go) const {
    if (auto ok = map_ids(made.init, ids_.of(slot)); !ok) {
        return ok;
    }
    if (::write(go.get(), "g", 1) != 1) {
        return fail_errno("releasing the sandbox");
    }
    return {};
}

}  // namespace hearth::sandbox
