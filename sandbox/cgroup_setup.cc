// How sandboxd finds and takes its place in the host's cgroup hierarchies; see cgroup.h.

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <thread>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/concat.h"
#include "base/log.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_layout.h"
#include "sandbox/small_file.h"

namespace hearth::sandbox {
namespace {

constexpr mode_t directory_mode = 0755;
constexpr milliseconds poll_step{5};
constexpr seconds leftover_wait_max{5};  // for processes of an earlier run to end after SIGKILL
constexpr std::string_view needed_controllers = "+memory +pids";
constexpr std::string_view all_controllers = "+memory +pids +cpu";
// Where the processes of a delegated cgroup go, below it.
constexpr std::string_view processes_leaf = "/hearth-processes";

bool has_word(std::string_view text, std::string_view word) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
        if (text.substr(0, end) == word) {
            return true;
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return false;
}

bool has_controller(const std::string& cgroup, std::string_view which) {
    const auto text = read_whole_file(concat(cgroup, "/cgroup.controllers").c_str());
    return text && has_word(*text, which);
}

bool has_controllers(const std::string& cgroup) {
    return has_controller(cgroup, "memory") && has_controller(cgroup, "pids");
}

// systemd marks the cgroup of a unit with Delegate=yes: below it this process may do as it likes.
bool is_delegated(const std::string& cgroup) {
    std::array<char, 2> value{};
    for (const char* name : {"trusted.delegate", "user.delegate"}) {
        if (::getxattr(cgroup.c_str(), name, value.data(), value.size()) == 1 && value[0] == '1') {
            return true;
        }
    }
    return false;
}

// In a container with a cgroup namespace of its own, the mount begins at the container's cgroup,
// which is its own to rule. The host's root has no cgroup.type.
bool is_containers_root(const std::string& cgroup, const std::string& mount) {
    return cgroup == mount && ::access(concat(cgroup, "/cgroup.type").c_str(), F_OK) == 0;
}

// The cgroup that this process may rule; empty where there is none.
std::string ruled_cgroup(const cgroup_layout& layout) {
    std::string own = layout.unified;
    // An earlier start in the same unit or container has moved its processes, and whoever started
    // this one is among them.
    if (own.ends_with(processes_leaf)) {
        own.resize(own.size() - processes_leaf.size());
    }
    const bool is_ruled = !own.empty() &&
                          (is_delegated(own) || is_containers_root(own, layout.unified_mount)) &&
                          has_controllers(own);
    return is_ruled ? own : std::string();
}

// A v2 cgroup hands controllers to its children only while it holds no process itself.
result<> move_processes_to_leaf(const std::string& cgroup) {
    const std::string leaf = concat(cgroup, processes_leaf);
    if (::mkdir(leaf.c_str(), directory_mode) != 0 && errno != EEXIST) {
        return fail_errno(concat("mkdir of cgroup ", leaf));
    }
    auto text = read_whole_file(concat(cgroup, "/cgroup.procs").c_str());
    if (!text) {
        return propagate(text);
    }
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::string_view process = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(process.size() + 1, rest.size()));
        auto moved = write_file_at(AT_FDCWD, concat(leaf, "/cgroup.procs").c_str(), process);
        // One that ended in between needs no place any more.
        if (!moved && moved.error().os_error != ESRCH) {
            return moved;
        }
    }
    return {};
}

// The worker and its manager are one group there, beside that of all sandboxes; as much as those.
void weigh_processes_leaf(const std::string& cgroup) {
    const auto weight = instance_cpu_weight(cpu_weights_v2, std::thread::hardware_concurrency());
    const std::string file = concat(cgroup, processes_leaf, "/cpu.weight");
    auto written = write_file_at(AT_FDCWD, file.c_str(), concat(weight));
    if (!written) {
        log::warning("functions may take processors from Hearth itself",
                     {{"file", file}, {"reason", written.error().message}});
    }
}

void kill_listed_processes(const std::string& cgroup) {
    const auto text = read_whole_file(concat(cgroup, "/cgroup.procs").c_str());
    std::string_view rest = text ? std::string_view(*text) : std::string_view();
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        if (const auto process = static_cast<pid_t>(number_after(line, {})); process > 1) {
            ::kill(process, SIGKILL);
        }
    }
}

// A directory that an earlier run left. Its processes belong to sandboxes and to nothing else.
result<> remove_leftover(const std::string& cgroup) {
    const deadline until = after(leftover_wait_max);
    while (::rmdir(cgroup.c_str()) != 0 && errno != ENOENT) {
        if (errno != EBUSY || steady_clock::now() > until) {
            return fail_errno(concat("rmdir of the left-over cgroup ", cgroup,
                                     " (a process in it does not end; see its cgroup.procs)"));
        }
        kill_listed_processes(cgroup);
        ::poll(nullptr, 0, static_cast<int>(poll_step.count()));
    }
    log::info("removed a left-over cgroup", {{"cgroup", cgroup}});
    return {};
}

result<> enable_controllers(const std::string& cgroup, std::string_view controllers) {
    auto enabled =
        write_file_at(AT_FDCWD, concat(cgroup, "/cgroup.subtree_control").c_str(), controllers);
    if (!enabled) {
        return fail(errc::unavailable,
                    concat("the controllers ", controllers, " cannot be enabled below ", cgroup,
                           " (", enabled.error().message,
                           "): run the worker as a systemd unit with Delegate=yes"));
    }
    return {};
}

}  // namespace

result<cgroup_tree> cgroup_tree::open(const std::string& instance, bool allow_no_limits,
                                      bool is_rootless) {
    cgroup_tree tree;
    if (auto ok = tree.find_hierarchies(instance, is_rootless); !ok) {
        return propagate(ok);
    }
    if ((!tree.limits_memory() || !tree.limits_pids()) && !allow_no_limits) {
        return fail(
            errc::unavailable,
            is_rootless
                ? "this user may rule no cgroup that limits memory and pids, so a function "
                  "could exhaust this host. Start Hearth in one of your own (systemd-run "
                  "--user --scope -p Delegate=yes hearth dev) or as root, or pass "
                  "--allow-no-limits to run without limits"
                : "no cgroup controller for memory and pids can be used, so a function could "
                  "exhaust this host. Mount cgroup v2 with the memory and pids controllers (boot "
                  "with systemd.unified_cgroup_hierarchy=1; in Docker: --cgroupns=private with "
                  "write access), or pass --allow-no-limits to run without limits");
    }
    if (auto ok = tree.open_directories(); !ok) {
        return propagate(ok);
    }
    if (auto ok = tree.remove_leftovers(); !ok) {
        return propagate(ok);
    }
    if (auto ok = tree.weigh(); !ok) {
        return propagate(ok);
    }
    return tree;
}

result<> cgroup_tree::weigh() const {
    for (const hierarchy& each : hierarchies_) {
        if (!each.cpu) {
            continue;
        }
        const auto weight = instance_cpu_weight(each.is_v2 ? cpu_weights_v2 : cpu_weights_v1,
                                                std::thread::hardware_concurrency());
        auto written = write_file_at(each.directory.get(), each.is_v2 ? "cpu.weight" : "cpu.shares",
                                     concat(weight));
        if (!written) {
            return written;
        }
    }
    return {};
}

result<> cgroup_tree::find_hierarchies(const std::string& instance, bool is_rootless) {
    auto layout = read_cgroup_layout();
    if (!layout) {
        return propagate(layout);
    }
    const std::string own = ruled_cgroup(*layout);
    if (is_rootless && (own.empty() || ::access(own.c_str(), W_OK) != 0)) {
        return {};
    }
    if (!own.empty()) {
        if (auto ok = move_processes_to_leaf(own); !ok) {
            return ok;
        }
        // A user's systemd may have no say about processors; root's always has.
        const bool needs_cpu = !is_rootless || has_controller(own, "cpu");
        if (!needs_cpu) {
            log::warning(
                "the cgroup of this user has no cpu controller: functions share "
                "processors without limits",
                {{"cgroup", own}});
        }
        auto used = use_unified(own, instance, needs_cpu);
        if (used && needs_cpu) {
            weigh_processes_leaf(own);
        }
        return used;
    }
    if (!layout->unified_mount.empty() && has_controllers(layout->unified_mount)) {
        return use_unified(layout->unified_mount, instance, true);
    }
    // Hybrid: at the roots and not below the own cgroup, which differs from one session to the
    // next, so that a start finds what a killed run left wherever that was started from.
    if (!layout->unified_mount.empty()) {
        hierarchies_.push_back(
            {.path = concat(layout->unified_mount, "/hearth-", instance), .is_v2 = true});
    }
    add_v1(layout->memory, instance, &hierarchy::memory);
    add_v1(layout->pids, instance, &hierarchy::pids);
    add_v1(layout->cpu, instance, &hierarchy::cpu);
    form_ = limits_memory() || limits_pids() ? cgroup_form::hybrid : cgroup_form::none;
    return {};
}

result<> cgroup_tree::use_unified(const std::string& parent, const std::string& instance,
                                  bool needs_cpu) {
    const std::string path = concat(parent, "/hearth-", instance);
    if (::mkdir(path.c_str(), directory_mode) != 0 && errno != EEXIST) {
        return fail_errno(concat("mkdir of cgroup ", path));
    }
    for (const std::string& each : {parent, path}) {
        if (auto enabled =
                enable_controllers(each, needs_cpu ? all_controllers : needed_controllers);
            !enabled) {
            return enabled;
        }
    }
    hierarchies_.push_back(
        {.path = path, .is_v2 = true, .memory = true, .pids = true, .cpu = needs_cpu});
    form_ = cgroup_form::unified;
    return {};
}

void cgroup_tree::add_v1(const std::string& parent, const std::string& instance,
                         bool hierarchy::* controller) {
    if (parent.empty()) {
        return;
    }
    const std::string path = concat(parent, "/hearth-", instance);
    const auto same = std::ranges::find(hierarchies_, path, &hierarchy::path);
    if (same != hierarchies_.end()) {
        (*same).*controller = true;
        return;
    }
    hierarchy added{.path = path};
    added.*controller = true;
    hierarchies_.push_back(std::move(added));
}

result<> cgroup_tree::make_directories() {
    for (hierarchy& each : hierarchies_) {
        if (::mkdir(each.path.c_str(), directory_mode) != 0 && errno != EEXIST) {
            return fail_errno(concat("mkdir of cgroup ", each.path,
                                     " (hearth-sandboxd needs to write to cgroupfs)"));
        }
        each.directory.reset(::open(each.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!each.directory && errno != ENOENT) {
            return fail_errno(concat("open of cgroup ", each.path));
        }
    }
    return {};
}

// An earlier hearth-sandboxd that is just ending removes its directories, perhaps between our
// opening and locking them.
bool cgroup_tree::directories_stand() const {
    return std::ranges::all_of(hierarchies_, [](const hierarchy& each) {
        struct stat opened{};
        struct stat present{};
        return each.directory && ::fstat(each.directory.get(), &opened) == 0 &&
               ::stat(each.path.c_str(), &present) == 0 && opened.st_ino == present.st_ino;
    });
}

result<> cgroup_tree::open_directories() {
    // The lock ends with this process and its last child, however they end.
    const deadline until = after(leftover_wait_max);
    for (;;) {
        if (auto made = make_directories(); !made || hierarchies_.empty()) {
            return made;
        }
        const unique_fd& first = hierarchies_.front().directory;
        if (first && ::flock(first.get(), LOCK_EX | LOCK_NB) == 0 && directories_stand()) {
            // Again, for a directory that was made anew here.
            return form_ == cgroup_form::unified
                       ? enable_controllers(hierarchies_.front().path,
                                            limits_cpu() ? all_controllers : needed_controllers)
                       : result<>{};
        }
        if (steady_clock::now() > until) {
            return fail(errc::conflict,
                        concat("another hearth-sandboxd uses ", hierarchies_.front().path,
                               ": give each worker on this host its own instance name"));
        }
        ::poll(nullptr, 0, static_cast<int>(poll_step.count()));
    }
}

result<> cgroup_tree::remove_leftovers() const {
    for (const hierarchy& each : hierarchies_) {
        const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(each.path.c_str()),
                                                          &::closedir);
        if (!listing) {
            return fail_errno(concat("opendir of cgroup ", each.path));
        }
        while (const dirent* entry = ::readdir(listing.get())) {
            const std::string_view name(entry->d_name);
            if (entry->d_type != DT_DIR || !name.starts_with("slot-")) {
                continue;
            }
            if (auto ok = remove_leftover(concat(each.path, "/", name)); !ok) {
                return ok;
            }
        }
    }
    return {};
}

}  // namespace hearth::sandbox
