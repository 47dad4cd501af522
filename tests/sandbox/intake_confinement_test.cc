#include "sandbox/intake_confinement.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "sandbox/landlock.h"
#include "sandbox/seccomp_policy.h"
#include "tests/port/temporary_directory.h"
#include "tests/support/sockets.h"

// What a reader of archives can still do after it was taken over: a child locks itself in and
// tries.

namespace hearth::sandbox {
namespace {

constexpr std::uint64_t file_bytes_max = 1 << 20;
constexpr int ordinary_user = 65534;
constexpr int could_not_seal = 99;

enum class as { ordinary_user, whoever_tests, without_namespaces, without_landlock };

bool forbid_namespaces() {
    const unique_fd limit(::unshare(CLONE_NEWUSER) != 0
                              ? -1
                              : ::open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC));
    return limit && ::write(limit.get(), "0", 1) == 1;
}

bool hide_landlock() {
    const scmp_filter_ctx context = ::seccomp_init(SCMP_ACT_ALLOW);
    return ::seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset),
                              0) == 0 &&
           ::seccomp_load(context) == 0;
}

// In a child, for good.
bool become(as who) {
    switch (who) {
        case as::ordinary_user:
            return ::geteuid() != 0 ||
                   (::setresgid(ordinary_user, ordinary_user, ordinary_user) == 0 &&
                    ::setresuid(ordinary_user, ordinary_user, ordinary_user) == 0);
        case as::without_namespaces:
            return forbid_namespaces();
        case as::without_landlock:
            return hide_landlock();
        case as::whoever_tests:
            break;
    }
    return true;
}

class intake_confinement_test : public ::testing::TestWithParam<as> {
protected:
    intake_confinement_test() {
        std::filesystem::create_directories(directory_.file("out/kept"));
        std::ofstream(directory_.file("secret")) << "secret";
        std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
        std::filesystem::permissions(directory_.file("out"), std::filesystem::perms::all);
    }
    // Runs `attempt` sealed; its value is the exit code.
    int sealed(bool writes, const std::function<int()>& attempt) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::_exit(seal_and(writes, attempt));
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        return status;
    }
    // As the server is by then: no user of note.
    int seal_and(bool writes, const std::function<int()>& attempt) {
        const unique_fd archive(::memfd_create("archive", MFD_CLOEXEC));
        const unique_fd folder(::open(directory_.file("out").c_str(), O_RDONLY | O_DIRECTORY));
        if (!become(GetParam())) {
            return could_not_seal;
        }
        const auto prepared = intake_confinement::prepare(file_bytes_max);
        if (!prepared ||
            !prepared->seal(pair_.ours.get(), archive.get(), writes ? folder.get() : -1)) {
            return could_not_seal;
        }
        return attempt();
    }
    void expect_exit(int status, int code) {
        ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
        EXPECT_EQ(WEXITSTATUS(status), code);
    }
    void expect_killed(int status) {
        ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
        EXPECT_EQ(WTERMSIG(status), SIGSYS);
    }

    test::temporary_directory directory_;
    test::fd_pair pair_ = test::make_socket_pair(SOCK_SEQPACKET);
};

// 0 or the errno.
int open_at(unsigned directory, const char* path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags;
    how.mode = (flags & O_CREAT) != 0 ? 0644 : 0;
    return ::syscall(SYS_openat2, directory, path, &how, sizeof how) >= 0 ? 0 : errno;
}

TEST_P(intake_confinement_test, it_can_make_files_and_folders_in_the_folder) {
    expect_exit(sealed(true,
                       [] {
                           if (::mkdirat(intake_directory_descriptor, "a", 0755) != 0) {
                               return errno;
                           }
                           return open_at(intake_directory_descriptor, "a/b",
                                          O_CREAT | O_EXCL | O_WRONLY);
                       }),
                0);
    EXPECT_TRUE(std::filesystem::exists(directory_.file("out/a/b")));
}

TEST_P(intake_confinement_test, it_can_read_the_archive_and_report) {
    for (const bool writes : {false, true}) {
        expect_exit(sealed(writes,
                           [] {
                               char byte = 0;
                               const bool read =
                                   ::pread(intake_archive_descriptor, &byte, 1, 0) == 0;
                               const bool told = ::write(intake_report_descriptor, "x", 1) == 1;
                               return read && told ? 0 : 1;
                           }),
                    0);
    }
}

TEST_P(intake_confinement_test, no_path_leads_out_of_the_folder) {
    for (const char* path : {"../secret", "/etc/passwd", "/proc/self/status", "../../../etc/passwd",
                             "kept/../../secret"}) {
        const int status = sealed(true, [&] {
            const int failed = open_at(intake_directory_descriptor, path, O_RDONLY);
            return failed == ENOENT || failed == EACCES ? 0 : 1;
        });
        expect_exit(status, 0);
    }
    const int status = sealed(true, [] {
        const int failed = open_at(intake_directory_descriptor, "../new", O_CREAT | O_WRONLY);
        const bool made_folder = ::mkdirat(intake_directory_descriptor, "../folder", 0755) == 0;
        return failed == EACCES || failed == 0 ? (made_folder ? 2 : 0) : 1;
    });
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_FALSE(std::filesystem::exists(directory_.file("new")));
    EXPECT_FALSE(std::filesystem::exists(directory_.file("folder")));
}

TEST_P(intake_confinement_test, it_cannot_read_what_it_wrote) {
    if (landlock_abi() == 0 || GetParam() == as::without_landlock) {
        GTEST_SKIP() << "without Landlock";
    }
    expect_exit(
        sealed(true,
               [] {
                   if (open_at(intake_directory_descriptor, "mine", O_CREAT | O_EXCL | O_WRONLY) !=
                       0) {
                       return 1;
                   }
                   return open_at(intake_directory_descriptor, "mine", O_RDONLY) == EACCES ? 0 : 2;
               }),
        0);
}

TEST_P(intake_confinement_test, whoever_only_checks_has_no_way_to_name_a_file) {
    expect_killed(sealed(false, [] { return open_at(4, "x", O_CREAT | O_WRONLY); }));
    expect_killed(sealed(false, [] { return open_at(4, "/etc/passwd", O_RDONLY); }));
    expect_killed(sealed(false, [] { return ::mkdirat(4, "x", 0755); }));
    expect_killed(sealed(false, [] { return ::write(5, "x", 1) == 1 ? 0 : 1; }));
}

TEST_P(intake_confinement_test, everything_else_kills_it) {
    for (const bool writes : {false, true}) {
        expect_killed(sealed(writes, [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }));
        expect_killed(sealed(writes, [] { return ::open("/etc/passwd", O_RDONLY); }));
        expect_killed(sealed(writes, [] { return ::fork() == 0 ? 0 : 1; }));
        expect_killed(sealed(writes, [] {
            char* const none[] = {nullptr};
            return ::execve("/bin/true", none, none);
        }));
        expect_killed(sealed(writes, [] { return ::kill(::getppid(), 0); }));
        expect_killed(sealed(writes, [] { return ::dup(3); }));
        expect_killed(sealed(writes, [] { return ::prctl(PR_GET_DUMPABLE); }));
        expect_killed(sealed(writes, [] { return open_at(5, "x", O_RDONLY); }));
        expect_killed(sealed(writes, [] {
            return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                          0) == MAP_FAILED;
        }));
        expect_killed(sealed(writes, [] {
            return static_cast<int>(::syscall(SYS_mprotect, nullptr, 0, PROT_EXEC));
        }));
    }
}

TEST_P(intake_confinement_test, a_file_over_the_limit_ends_it) {
    const int status = sealed(true, [] {
        open_how how{};
        how.flags = O_CREAT | O_EXCL | O_WRONLY;
        how.mode = 0644;
        const int file = static_cast<int>(
            ::syscall(SYS_openat2, intake_directory_descriptor, "large", &how, sizeof how));
        static const std::string block(file_bytes_max, 'x');
        return ::write(file, block.data(), block.size()) > 0 &&
                       ::write(file, block.data(), block.size()) > 0
                   ? 0
                   : 1;
    });
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGXFSZ);
}

TEST_P(intake_confinement_test, no_descriptor_but_three_is_left) {
    expect_exit(sealed(true,
                       [] {
                           struct stat status{};
                           for (int fd = 0; fd < 64; ++fd) {
                               const bool open = ::syscall(SYS_fstat, fd, &status) == 0;
                               if (open != (fd >= 3 && fd <= 5)) {
                                   return fd + 1;
                               }
                           }
                           return 0;
                       }),
                0);
}

std::string name_of(const ::testing::TestParamInfo<as>& each) {
    constexpr std::array names{"by_an_ordinary_user", "by_whoever_tests", "without_namespaces",
                               "without_landlock"};
    return names.at(static_cast<std::size_t>(each.param));
}

// Each of the two that may be missing is enough alone.
INSTANTIATE_TEST_SUITE_P(run, intake_confinement_test,
                         ::testing::Values(as::ordinary_user, as::whoever_tests,
                                           as::without_namespaces, as::without_landlock),
                         name_of);

TEST(intake_confinement, is_refused_where_both_namespaces_and_landlock_are_missing) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (!forbid_namespaces() || !hide_landlock()) {
            ::_exit(could_not_seal);
        }
        const auto prepared = intake_confinement::prepare(file_bytes_max);
        ::_exit(!prepared && prepared.error().message.contains("lsm=") ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace hearth::sandbox
