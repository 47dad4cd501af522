#include "sandbox/host_ids.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <linux/mount.h>
#include <pwd.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "sandbox/kernel.h"
#include "sandbox/namespaces.h"
#include "sandbox/small_file.h"

namespace hearth::sandbox {
namespace {

constexpr const char* uid_mapper = "/usr/bin/newuidmap";
constexpr const char* gid_mapper = "/usr/bin/newgidmap";
// In sandboxd's user namespace, where it is root itself.
constexpr unsigned own_id = 0;
constexpr unsigned first_of_ranges = 1;

std::string read_switch(const char* path) {
    auto text = read_whole_file(path);
    return text ? text->substr(0, text->find('\n')) : std::string();
}

std::unexpected<error> refuse(std::string_view step) {
    const int os_error = errno;
    return fail(
        errc::unavailable,
        explain_refusal(
            step, os_error,
            {.unprivileged_clone = read_switch("/proc/sys/kernel/unprivileged_userns_clone"),
             .namespaces_max = read_switch("/proc/sys/user/max_user_namespaces"),
             .apparmor_restricted =
                 read_switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")}));
}

struct granted_ranges {
    id_range uids;
    id_range gids;
};

// Nothing, and a line in the log that says why, where sandboxes must share the user's own uid.
std::optional<granted_ranges> find_ranges(std::uint32_t slots) {
    const uid_t uid = ::getuid();
    const passwd* account = ::getpwuid(uid);
    const std::string name = account == nullptr ? "" : account->pw_name;
    const auto granted = [&](const char* path) -> std::optional<id_range> {
        const auto text = read_whole_file(path);
        return text ? find_id_range(*text, name, uid, slots) : std::nullopt;
    };
    const auto uids = granted("/etc/subuid");
    const auto gids = granted("/etc/subgid");
    const bool has_programs = ::access(uid_mapper, X_OK) == 0 && ::access(gid_mapper, X_OK) == 0;
    if (uids && gids && has_programs && account != nullptr) {
        return granted_ranges{.uids = *uids, .gids = *gids};
    }
    log::warning(
        "all sandboxes are one host user, which is weaker; for a user each, install the package "
        "uidmap and grant ranges in /etc/subuid and /etc/subgid",
        {{"uid", uid}, {"idsNeeded", slots}});
    return std::nullopt;
}

// Runs in the forked child: only calls that are safe between fork and exec.
bool run_mapper(const char* program, const char* const* arguments) noexcept {
    const pid_t process = ::fork();
    if (process == 0) {
        constexpr std::array<const char*, 1> no_environment{nullptr};
        ::execve(program, const_cast<char* const*>(arguments),
                 const_cast<char* const*>(no_environment.data()));
        ::_exit(127);
    }
    int status = -1;
    while (process > 0 && ::waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    return process > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// newuidmap's arguments: its caller's own id becomes 0, the range follows.
struct mapper_call {
    mapper_call(const char* program, pid_t target, unsigned own, const id_range& range,
                std::uint32_t slots)
        : words{program,
                concat(target),
                "0",
                concat(own),
                "1",
                concat(first_of_ranges),
                concat(range.first),
                concat(slots)} {
        for (std::size_t i = 0; i < words.size(); ++i) {
            arguments[i] = words[i].c_str();
        }
    }
    mapper_call(const mapper_call&) = delete;
    mapper_call& operator=(const mapper_call&) = delete;
    ~mapper_call() = default;

    std::array<std::string, 8> words;
    std::array<const char*, 9> arguments{};
};

// newuidmap must run outside of the namespace that it maps, so it waits in a child that was forked
// before. Returns when the maps are written.
result<> unshare_with_ranges(const granted_ranges& ranges, std::uint32_t slots) {
    const mapper_call uids(uid_mapper, ::getpid(), ::getuid(), ranges.uids, slots);
    const mapper_call gids(gid_mapper, ::getpid(), ::getgid(), ranges.gids, slots);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail_errno("pipe2");
    }
    const unique_fd wait(ends[0]);
    unique_fd go(ends[1]);
    const pid_t helper = ::fork();
    if (helper < 0) {
        return fail_errno("fork for newuidmap");
    }
    if (helper == 0) {
        go.reset();
        char byte = 0;
        const bool mapped = ::read(wait.get(), &byte, 1) == 1 &&
                            kernel::close_range(STDERR_FILENO + 1, ~0U, 0) == 0 &&
                            run_mapper(uid_mapper, uids.arguments.data()) &&
                            run_mapper(gid_mapper, gids.arguments.data());
        ::_exit(mapped ? 0 : 1);
    }
    const bool entered = ::unshare(CLONE_NEWUSER) == 0;
    const int saved = errno;
    if (entered && ::write(go.get(), "g", 1) != 1) {
        return fail_errno("write to newuidmap's process");
    }
    go.reset();
    int status = -1;
    while (::waitpid(helper, &status, 0) < 0 && errno == EINTR) {
    }
    if (!entered) {
        errno = saved;
        return refuse("making a user namespace");
    }
    if (status != 0) {
        return fail(errc::unavailable,
                    "newuidmap or newgidmap refused the ranges of /etc/subuid and /etc/subgid (its "
                    "own words are above): mend the ranges, or remove them to let all sandboxes "
                    "be one host user. Under no_new_privs neither program has its rights");
    }
    return {};
}

result<> unshare_with_own_id() {
    const uid_t uid = ::getuid();
    const gid_t gid = ::getgid();
    if (::unshare(CLONE_NEWUSER) != 0) {
        return refuse("making a user namespace");
    }
    // Without the first the kernel lets no user map a group.
    const bool mapped =
        write_file_at(AT_FDCWD, "/proc/self/setgroups", "deny").has_value() &&
        write_file_at(AT_FDCWD, "/proc/self/uid_map", concat("0 ", uid, " 1")).has_value() &&
        write_file_at(AT_FDCWD, "/proc/self/gid_map", concat("0 ", gid, " 1")).has_value();
    if (!mapped) {
        return refuse("mapping the user's id");
    }
    return {};
}

// A sandbox mounts its own /proc, which the kernel allows only beside one that hides nothing.
result<> check_new_proc() {
    auto cloned = clone_into_namespaces(-1);
    if (!cloned) {
        return refuse("making a sandbox's namespaces");
    }
    if (cloned->process == 0) {
        const int mount = kernel::mount_detached(
            "proc", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
        ::_exit(mount >= 0 ? 0 : 1);
    }
    int status = -1;
    while (::waitpid(cloned->process, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        return fail(errc::unavailable,
                    "the kernel lets sandboxes mount no /proc of their own, since parts of this "
                    "one are covered, as containers do: run Hearth outside of the container, or "
                    "give the container an uncovered /proc (Docker: --security-opt "
                    "systempaths=unconfined)");
    }
    return {};
}

}  // namespace

unsigned host_ids::of(std::uint32_t slot) const {
    switch (source) {
        case id_source::host:
            return host_id_base + slot;
        case id_source::ranges:
            return first_of_ranges + slot;
        case id_source::own:
            break;
    }
    return own_id;
}

result<> host_ids::check() const {
    auto map = read_whole_file("/proc/self/uid_map");
    if (!map) {
        return propagate(map);
    }
    // "inside outside count"; root of the host, or of a container, is 0 in the first two.
    std::istringstream words(*map);
    unsigned inside = 0;
    unsigned outside = 0;
    words >> inside >> outside;
    if (is_rootless() && (!words || inside != own_id || outside == 0)) {
        return fail(errc::invalid_argument,
                    "--host-ids is what hearth-sandboxd tells itself when an ordinary user starts "
                    "it: leave it out");
    }
    return {};
}

result<id_source> enter_user_namespace(std::uint32_t slots) {
    const auto ranges = find_ranges(slots);
    auto entered = ranges ? unshare_with_ranges(*ranges, slots) : unshare_with_own_id();
    if (!entered) {
        return propagate(entered);
    }
    if (::unshare(CLONE_NEWNS) != 0) {
        return refuse("copying the mount namespace");
    }
    if (auto ok = check_new_proc(); !ok) {
        return propagate(ok);
    }
    return ranges ? id_source::ranges : id_source::own;
}

std::optional<id_range> find_id_range(std::string_view text, std::string_view user, uid_t uid,
                                      unsigned count) {
    const std::string number = concat(uid);
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::size_t first_colon = line.find(':');
        const std::size_t second_colon = line.find(':', first_colon + 1);
        if (first_colon == std::string_view::npos || second_colon == std::string_view::npos) {
            continue;
        }
        const std::string_view owner = line.substr(0, first_colon);
        const auto parse = [](std::string_view digits, unsigned& into) {
            const auto [end, status] =
                std::from_chars(digits.data(), digits.data() + digits.size(), into);
            return status == std::errc() && end == digits.data() + digits.size();
        };
        id_range range;
        if (!owner.empty() && (owner == user || owner == number) &&
            parse(line.substr(first_colon + 1, second_colon - first_colon - 1), range.first) &&
            parse(line.substr(second_colon + 1), range.count) && range.count >= count) {
            return range;
        }
    }
    return std::nullopt;
}

std::string explain_refusal(std::string_view step, int os_error, const namespace_switches& host) {
    const std::string what = concat(
        "started by an ordinary user, hearth-sandboxd needs a user "
        "namespace, and ",
        step, " failed: ", std::strerror(os_error), ". ");
    if (host.unprivileged_clone == "0") {
        return what +
               "This host forbids it to users: sysctl kernel.unprivileged_userns_clone=1, "
               "or start Hearth as root";
    }
    if (host.namespaces_max == "0" || os_error == ENOSPC) {
        return what +
               "Raise the limit with sysctl user.max_user_namespaces=65536, or start Hearth "
               "as root";
    }
    if (host.apparmor_restricted == "1") {
        return what +
               "AppArmor restricts it: give hearth-sandboxd an AppArmor profile with "
               "\"userns,\", or sysctl kernel.apparmor_restrict_unprivileged_userns=0, or "
               "start Hearth as root";
    }
    return what +
           "A container's seccomp profile or a security module may forbid unshare, mount or "
           "clone, or the kernel lacks CONFIG_USER_NS: allow it, or start Hearth as root";
}

}  // namespace hearth::sandbox
