// The parts of sandboxd that can be asked without a sandbox.

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <errno.h>
#include <gtest/gtest.h>

#include "sandbox/cgroup.h"
#include "sandbox/cgroup_layout.h"
#include "sandbox/options.h"
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

TEST(cpu_weight, a_sandbox_weighs_in_proportion_to_its_memory_and_within_the_kernels_bounds) {
    constexpr std::uint64_t mb = 1 << 20;
    EXPECT_EQ(sandbox_cpu_weight(cpu_weights_v1, memory_mb_per_cpu * mb), 1024U);
    EXPECT_EQ(sandbox_cpu_weight(cpu_weights_v2, memory_mb_per_cpu * mb), 100U);
    EXPECT_EQ(sandbox_cpu_weight(cpu_weights_v1, 256 * mb),
              2 * sandbox_cpu_weight(cpu_weights_v1, 128 * mb));
    EXPECT_EQ(sandbox_cpu_weight(cpu_weights_v1, mb), 2U);
    EXPECT_EQ(sandbox_cpu_weight(cpu_weights_v2, mb), 1U);
    EXPECT_EQ(sandbox_cpu_weight(cpu_weights_v1, 1'000'000 * mb), 262'144U);
    EXPECT_EQ(sandbox_cpu_weight(cpu_weights_v2, 1'000'000 * mb), 10'000U);
}

TEST(cpu_weight, all_sandboxes_weigh_as_an_ordinary_process_on_each_processor) {
    EXPECT_EQ(instance_cpu_weight(cpu_weights_v1, 1), 1024U);
    EXPECT_EQ(instance_cpu_weight(cpu_weights_v1, 8), 8192U);
    EXPECT_EQ(instance_cpu_weight(cpu_weights_v2, 8), 800U);
    EXPECT_EQ(instance_cpu_weight(cpu_weights_v1, 0), 1024U);  // not known
    EXPECT_EQ(instance_cpu_weight(cpu_weights_v1, 1000), 262'144U);
    EXPECT_EQ(instance_cpu_weight(cpu_weights_v2, 1000), 10'000U);
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
    EXPECT_TRUE(
        parse({"--socket-fd", "3", "--instance", "a", "--runtime-dir", "/r", "--host-ids", "own"}));
    EXPECT_FALSE(parse(
        {"--socket-fd", "3", "--instance", "a", "--runtime-dir", "/r", "--host-ids", "host"}));
    EXPECT_FALSE(parse({"--unknown"}));
}

TEST(options, every_limit_of_the_zygotes_is_enforced) {
    const auto with = [](const std::string& name, const std::string& value) {
        return parse({"--socket-fd", "3", "--instance", "a", "--runtime-dir", "/r", name, value});
    };
    struct range {
        const char* name;
        std::uint32_t low;
        std::uint32_t high;
    };
    for (const auto& [name, low, high] :
         {range{"--zygote-forks", 1, zygote_forks_max},
          range{"--zygote-minutes", 1, zygote_minutes_max},
          range{"--zygote-spares", 0, zygote_spares_max},
          range{"--zygote-functions", 1, zygote_functions_max},
          range{"--zygote-idle-seconds", 1, zygote_idle_seconds_max}}) {
        EXPECT_TRUE(with(name, std::to_string(low))) << name;
        EXPECT_TRUE(with(name, std::to_string(high))) << name;
        EXPECT_FALSE(with(name, std::to_string(high + 1))) << name;
        EXPECT_FALSE(with(name, low == 0 ? "-1" : std::to_string(low - 1))) << name;
    }
    EXPECT_EQ(with("--zygote", "per-function")->zygote, zygote_mode::per_function);
    EXPECT_EQ(with("--zygote", "shared")->zygote, zygote_mode::shared);
    EXPECT_EQ(with("--zygote", "off")->zygote, zygote_mode::off);
    EXPECT_FALSE(with("--zygote", "on"));
    EXPECT_FALSE(with("--zygote-colour", "1"));
}

}  // namespace
}  // namespace hearth::sandbox
