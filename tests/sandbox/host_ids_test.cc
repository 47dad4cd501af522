// Who sandboxes are to the host, and what an ordinary user is told where the host does not help.

#include "sandbox/host_ids.h"

#include <array>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "sandbox/small_file.h"

namespace hearth::sandbox::testing {
namespace {

TEST(host_ids, each_slot_of_root_and_of_a_range_is_an_id_of_its_own) {
    EXPECT_EQ(host_ids{}.of(0), 200'000U);
    EXPECT_EQ(host_ids{}.of(7), 200'007U);
    EXPECT_EQ(host_ids{id_source::ranges}.of(0), 1U);
    EXPECT_EQ(host_ids{id_source::ranges}.of(7), 8U);
    EXPECT_EQ(host_ids{id_source::own}.of(7), 0U);
}

TEST(host_ids, what_only_a_user_namespace_makes_safe_is_refused_outside_of_one) {
    EXPECT_TRUE(host_ids{}.check().has_value());
    EXPECT_FALSE(host_ids{id_source::own}.check().has_value());
    EXPECT_FALSE(host_ids{id_source::ranges}.check().has_value());
}

TEST(host_ids, a_range_is_the_users_by_name_or_number_and_large_enough) {
    constexpr std::string_view text =
        "# comment\nada:100000:10\nbob:200000:65536\nada:300000:65536\n1000:400000:65536\n";
    EXPECT_EQ(find_id_range(text, "ada", 1, 256), (id_range{300'000, 65'536}));
    EXPECT_EQ(find_id_range(text, "ada", 1, 10), (id_range{100'000, 10}));
    EXPECT_EQ(find_id_range(text, "", 1000, 256), (id_range{400'000, 65'536}));
    EXPECT_EQ(find_id_range(text, "ad", 1, 1), std::nullopt);
    EXPECT_EQ(find_id_range(text, "ada", 1, 65'537), std::nullopt);
}

TEST(host_ids, lines_that_are_no_ranges_grant_nothing) {
    for (const char* text : {"", "\n", "ada", "ada:", "ada:1", "ada:1:", "ada::5", "ada:1:5:2",
                             "ada:-1:5", "ada:1:5 ", ":1:5", "ada:99999999999:5"}) {
        EXPECT_EQ(find_id_range(text, "ada", 1, 1), std::nullopt) << text;
        EXPECT_EQ(find_id_range(text, "", 1, 1), std::nullopt) << text;
    }
}

TEST(host_ids, a_refusal_names_the_switch_that_the_host_has_set) {
    const auto text = [](int os_error, const namespace_switches& host) {
        return explain_refusal("a step", os_error, host);
    };
    EXPECT_NE(text(EPERM, {.unprivileged_clone = "0", .apparmor_restricted = "1"})
                  .find("kernel.unprivileged_userns_clone=1"),
              std::string::npos);
    EXPECT_NE(text(ENOSPC, {.unprivileged_clone = "1"}).find("user.max_user_namespaces"),
              std::string::npos);
    EXPECT_NE(text(EACCES, {.namespaces_max = "100", .apparmor_restricted = "1"})
                  .find("kernel.apparmor_restrict_unprivileged_userns=0"),
              std::string::npos);
    EXPECT_NE(text(EPERM, {.namespaces_max = "100", .apparmor_restricted = "0"}).find("seccomp"),
              std::string::npos);
}

// In a user namespace that allows no further one, which is what such a host is to its users.
[[noreturn]] void report_refusal(int to) {
    std::string text = "not reached";
    if (::unshare(CLONE_NEWUSER) == 0 &&
        write_file_at(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0")) {
        const auto entered = enter_user_namespace(slots_default);
        text = entered ? "entered" : entered.error().message;
    }
    [[maybe_unused]] const auto written = ::write(to, text.data(), text.size());
    ::_exit(0);
}

TEST(host_ids, a_host_without_user_namespaces_for_users_is_refused_with_the_remedy) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const unique_fd read_end(ends[0]);
    unique_fd write_end(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        report_refusal(write_end.get());
    }
    write_end.reset();
    std::string said;
    std::array<char, 1024> buffer{};
    ssize_t got = 0;
    while ((got = ::read(read_end.get(), buffer.data(), buffer.size())) > 0) {
        said.append(buffer.data(), static_cast<std::size_t>(got));
    }
    ::waitpid(child, nullptr, 0);
    EXPECT_NE(said.find("sysctl user.max_user_namespaces"), std::string::npos) << said;
}

}  // namespace
}  // namespace hearth::sandbox::testing
