#include "sandbox/cgroup_layout.h"

#include <algorithm>
#include <vector>

#include "sandbox/small_file.h"

namespace hearth::sandbox {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        parts.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

bool contains(std::string_view list, std::string_view name) {
    const auto parts = split(list, ',');
    return std::ranges::find(parts, name) != parts.end();
}

struct cgroup_mount {
    std::string_view root;  // which cgroup the mountpoint shows
    std::string_view point;
    bool is_v2 = false;
    std::string_view options;  // of the superblock: names the v1 controllers
};

// "36 35 98:0 /root /point rw,opts shared:1 - cgroup source rw,memory"; proc(5).
std::vector<cgroup_mount> parse_mounts(std::string_view mountinfo) {
    constexpr std::size_t root_field = 3;
    constexpr std::size_t point_field = 4;
    std::vector<cgroup_mount> mounts;
    for (const std::string_view line : split(mountinfo, '\n')) {
        const auto fields = split(line, ' ');
        const auto dash = std::ranges::find(fields, "-");
        if (fields.size() <= point_field || fields.end() - dash < 4) {
            continue;
        }
        const bool is_v2 = dash[1] == "cgroup2";
        if (is_v2 || dash[1] == "cgroup") {
            mounts.push_back({fields[root_field], fields[point_field], is_v2, dash[3]});
        }
    }
    return mounts;
}

// Where the cgroup `path` shows up below a mount; in a container the mount may begin further down.
std::string locate(const cgroup_mount& mount, std::string_view path) {
    if (mount.root != "/" && path.starts_with(mount.root)) {
        path.remove_prefix(mount.root.size());
    }
    std::string where(mount.point);
    if (!path.empty() && path != "/") {
        if (path.front() != '/') {
            where += '/';
        }
        where += path;
    }
    return where;
}

}  // namespace

cgroup_layout parse_cgroup_layout(std::string_view mountinfo, std::string_view self_cgroup) {
    const auto mounts = parse_mounts(mountinfo);
    cgroup_layout layout;
    // "4:memory:/path" for v1, "0::/path" for v2; the path may hold colons.
    for (const std::string_view line : split(self_cgroup, '\n')) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) {
            continue;
        }
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        const std::string_view path = line.substr(second + 1);
        for (const cgroup_mount& mount : mounts) {
            if (mount.is_v2 && controllers.empty() && layout.unified.empty()) {
                layout.unified = locate(mount, path);
                layout.unified_mount = mount.point;
            }
            const auto take = [&](std::string& where, std::string_view name) {
                if (!mount.is_v2 && where.empty() && contains(controllers, name) &&
                    contains(mount.options, name)) {
                    where = mount.point;
                }
            };
            take(layout.memory, "memory");
            take(layout.pids, "pids");
            take(layout.cpu, "cpu");
        }
    }
    return layout;
}

result<cgroup_layout> read_cgroup_layout() {
    auto mountinfo = read_whole_file("/proc/self/mountinfo");
    if (!mountinfo) {
        return propagate(mountinfo);
    }
    auto self_cgroup = read_whole_file("/proc/self/cgroup");
    if (!self_cgroup) {
        return propagate(self_cgroup);
    }
    return parse_cgroup_layout(*mountinfo, *self_cgroup);
}

}  // namespace hearth::sandbox
