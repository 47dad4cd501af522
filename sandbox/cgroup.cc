#include "sandbox/cgroup.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/log.h"
#include "sandbox/small_file.h"

namespace hearth::sandbox {
namespace {

constexpr std::uint64_t cpu_period_usec = 100'000;  // the kernel's default
constexpr std::uint64_t millis_per_cpu = 1'000;

std::uint64_t cpu_quota_usec(std::uint32_t cpu_millis) {
    return cpu_period_usec * cpu_millis / millis_per_cpu;
}

// Swap would turn a memory limit into a slow host; where the kernel has no such file there is no
// swap accounting and nothing to switch off.
result<> write_if_present(int directory, const char* name, std::string_view text) {
    auto written = write_file_at(directory, name, text);
    if (!written && written.error().os_error == ENOENT) {
        return {};
    }
    return written;
}

result<> limit_memory(int directory, bool is_v2, std::uint64_t bytes) {
    const std::string text = concat(bytes);
    if (is_v2) {
        if (auto ok = write_file_at(directory, "memory.max", text); !ok) {
            return ok;
        }
        // One process out of memory takes the whole sandbox: a half-dead function is no use.
        if (auto ok = write_file_at(directory, "memory.oom.group", "1"); !ok) {
            return ok;
        }
        return write_if_present(directory, "memory.swap.max", "0");
    }
    // The kernel keeps the first limit at or below the second, so the order depends on whether they
    // rise or fall.
    auto written = write_file_at(directory, "memory.limit_in_bytes", text);
    if (!written && written.error().os_error != EINVAL) {
        return written;
    }
    if (auto ok = write_if_present(directory, "memory.memsw.limit_in_bytes", text); !ok) {
        return ok;
    }
    return written ? written : write_file_at(directory, "memory.limit_in_bytes", text);
}

result<> limit_cpu(int directory, bool is_v2, const cgroup_limits& limits) {
    const auto weight =
        sandbox_cpu_weight(is_v2 ? cpu_weights_v2 : cpu_weights_v1, limits.memory_bytes);
    if (auto ok = write_file_at(directory, is_v2 ? "cpu.weight" : "cpu.shares", concat(weight));
        !ok) {
        return ok;
    }
    if (limits.cpu_millis == 0) {
        return {};
    }
    const std::uint64_t quota = cpu_quota_usec(limits.cpu_millis);
    // The kernel keeps what may be saved up at or below the quota, so it goes first and comes last.
    const char* burst = is_v2 ? "cpu.max.burst" : "cpu.cfs_burst_us";
    if (auto ok = write_if_present(directory, burst, "0"); !ok) {
        return ok;
    }
    // Of the period: the kernel's default is the one that is wanted.
    auto limited = is_v2 ? write_file_at(directory, "cpu.max", concat(quota, " ", cpu_period_usec))
                         : write_file_at(directory, "cpu.cfs_quota_us", concat(quota));
    return limited ? write_if_present(directory, burst, concat(quota)) : limited;
}

std::uint64_t read_number(int directory, const char* name, std::string_view key = {}) {
    const auto text = read_file_at(directory, name);
    return text ? number_after(*text, key) : 0;
}

}  // namespace

std::uint64_t sandbox_cpu_weight(const cpu_weights& of, std::uint64_t memory_bytes) {
    const std::uint64_t bytes_per_cpu = std::uint64_t{memory_mb_per_cpu} << 20;
    return std::clamp(memory_bytes * of.process / bytes_per_cpu, of.least, of.most);
}

std::uint64_t instance_cpu_weight(const cpu_weights& of, std::uint64_t processors) {
    return std::clamp(processors * of.process, of.process, of.most);
}

result<> cgroup::set_limits(const cgroup_limits& limits) const {
    for (std::size_t i = 0; i < directories_.size(); ++i) {
        const auto& where = tree_->hierarchies_[i];
        const int directory = directories_[i].get();
        if (where.memory) {
            if (auto ok = limit_memory(directory, where.is_v2, limits.memory_bytes); !ok) {
                return ok;
            }
        }
        if (where.pids) {
            if (auto ok = write_file_at(directory, "pids.max", concat(limits.pids)); !ok) {
                return ok;
            }
        }
        if (where.cpu) {
            if (auto ok = limit_cpu(directory, where.is_v2, limits); !ok) {
                return ok;
            }
        }
    }
    return {};
}

int cgroup::placement() const {
    for (std::size_t i = 0; i < directories_.size(); ++i) {
        if (tree_->hierarchies_[i].is_v2) {
            return directories_[i].get();
        }
    }
    return -1;
}

result<std::vector<unique_fd>> cgroup::open_task_lists() const {
    std::vector<unique_fd> lists;
    for (std::size_t i = 0; i < directories_.size(); ++i) {
        if (tree_->hierarchies_[i].is_v2) {
            continue;
        }
        lists.emplace_back(::openat(directories_[i].get(), "tasks", O_WRONLY | O_CLOEXEC));
        if (!lists.back()) {
            return fail_errno("open of a cgroup's tasks");
        }
    }
    return lists;
}

result<gauges> cgroup::open_gauges() const {
    gauges shown;
    int os_error = 0;
    for (std::size_t i = 0; i < directories_.size(); ++i) {
        const auto& where = tree_->hierarchies_[i];
        const auto show = [&](gauge which, const char* name, int access = O_RDONLY) {
            if (!shown[which]) {
                shown[which] = unique_fd(::openat(directories_[i].get(), name, access | O_CLOEXEC));
                os_error = shown[which] || errno == ENOENT ? os_error : errno;
            }
        };
        if (where.memory) {
            show(gauge::memory_peak, where.is_v2 ? "memory.peak" : "memory.max_usage_in_bytes");
            show(gauge::memory_peak, "memory.current");  // v2 before Linux 5.19
            show(gauge::memory_events, where.is_v2 ? "memory.events" : "memory.oom_control");
            show(gauge::memory_stat, "memory.stat");
        }
        if (where.pids) {
            show(gauge::tasks, "pids.current");
        }
        if (where.is_v2) {
            show(gauge::cpu_time, "cpu.stat");
            show(gauge::processes, "cgroup.procs");
            show(gauge::freezer, "cgroup.freeze", O_WRONLY);
        }
    }
    if (os_error != 0) {
        return fail_errno("opening what a cgroup tells", os_error);
    }
    return shown;
}

result<unique_fd> cgroup::watch_out_of_memory() const {
    for (std::size_t i = 0; i < directories_.size(); ++i) {
        const auto& where = tree_->hierarchies_[i];
        if (!where.memory || where.is_v2) {
            continue;
        }
        const int directory = directories_[i].get();
        const unique_fd control(::openat(directory, "memory.oom_control", O_RDONLY | O_CLOEXEC));
        unique_fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (!control || !event) {
            return fail_errno("watching memory.oom_control");
        }
        auto registered = write_file_at(directory, "cgroup.event_control",
                                        concat(event.get(), " ", control.get()));
        if (!registered) {
            return propagate(registered);
        }
        return event;
    }
    return unique_fd();
}

cgroup_usage cgroup::usage() const {
    cgroup_usage used;
    for (std::size_t i = 0; i < directories_.size(); ++i) {
        const auto& where = tree_->hierarchies_[i];
        const int directory = directories_[i].get();
        if (where.is_v2) {
            used.cpu_usec = read_number(directory, "cpu.stat", "usage_usec");
        }
        if (where.memory) {
            const char* events = where.is_v2 ? "memory.events" : "memory.oom_control";
            const char* peak = where.is_v2 ? "memory.peak" : "memory.max_usage_in_bytes";
            used.oom_kills = static_cast<std::uint32_t>(read_number(directory, events, "oom_kill"));
            used.memory_peak_bytes = read_number(directory, peak);
        }
        if (where.pids) {
            used.pids_refused =
                static_cast<std::uint32_t>(read_number(directory, "pids.events", "max"));
        }
    }
    return used;
}

void cgroup::kill() const {
    // Sandboxd kills init by its pidfd as well, so a kernel without cgroup.kill (before 5.14) loses
    // nothing but the reach to frozen processes.
    if (const int directory = placement(); directory >= 0) {
        [[maybe_unused]] const auto written = write_file_at(directory, "cgroup.kill", "1");
    }
}

result<> cgroup::remove() {
    for (const auto& where : tree_->hierarchies_) {
        if (::unlinkat(where.directory.get(), name_.c_str(), AT_REMOVEDIR) == 0 ||
            errno == ENOENT) {
            continue;
        }
        if (errno == EBUSY) {
            return fail(errc::conflict, concat("cgroup ", where.path, "/", name_, " is busy"));
        }
        return fail_errno(concat("rmdir of cgroup ", where.path, "/", name_));
    }
    directories_.clear();
    return {};
}

result<cgroup> cgroup_tree::make(const std::string& name, const cgroup_limits& limits) const {
    cgroup made(*this, name);
    const auto build = [&]() -> result<> {
        for (const hierarchy& where : hierarchies_) {
            constexpr mode_t mode = 0755;
            if (::mkdirat(where.directory.get(), name.c_str(), mode) != 0) {
                return fail_errno(concat("mkdir of cgroup ", where.path, "/", name));
            }
            unique_fd directory(
                ::openat(where.directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
            if (!directory) {
                return fail_errno(concat("open of cgroup ", where.path, "/", name));
            }
            made.directories_.push_back(std::move(directory));
        }
        return made.set_limits(limits);
    };
    if (auto ok = build(); !ok) {
        [[maybe_unused]] const auto removed = made.remove();
        return propagate(ok);
    }
    return made;
}

result<> cgroup_tree::remove() const {
    for (const hierarchy& where : hierarchies_) {
        if (::rmdir(where.path.c_str()) != 0 && errno != ENOENT) {
            return fail_errno(concat("rmdir of cgroup ", where.path));
        }
    }
    return {};
}

bool cgroup_tree::limits_memory() const {
    return std::ranges::any_of(hierarchies_, &hierarchy::memory);
}

bool cgroup_tree::limits_pids() const {
    return std::ranges::any_of(hierarchies_, &hierarchy::pids);
}

bool cgroup_tree::limits_cpu() const {
    return std::ranges::any_of(hierarchies_, &hierarchy::cpu);
}

}  // namespace hearth::sandbox
