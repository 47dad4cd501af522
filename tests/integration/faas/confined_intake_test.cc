#include "faas/confined_intake.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "coro/scope.h"
#include "coro/when_all.h"
#include "faas/function.h"
#include "tests/port/temporary_directory.h"
#include "tests/support/sockets.h"
#include "tests/unit/faas/zip_builder.h"
#include "uring/ring.h"

// The real hearth-unpack, and programs in its place that are as bad as one that was taken over.

namespace hearth::faas {
namespace {

namespace fs = std::filesystem;
using test::make_zip;
using ::testing::HasSubstr;

unique_fd file_of(const std::string& bytes) {
    unique_fd file(::memfd_create("upload", MFD_CLOEXEC));
    test::write_fully(file, bytes);
    return file;
}

const std::string good = make_zip(
    {{.name = "main.py", .content = "pass"}, {.name = "pkg/x.py", .content = "x", .method = 8}});

// This process's children, reaped or not.
std::size_t children() {
    std::ifstream list(concat("/proc/self/task/", ::getpid(), "/children"));
    std::size_t count = 0;
    for (int each = 0; list >> each;) {
        ++count;
    }
    return count;
}

class confined_intake_test : public ::testing::Test {
protected:
    void SetUp() override {
        auto ring = uring::ring::create();
        ASSERT_TRUE(ring) << ring.error().message;
        loop_ = std::move(*ring);
        // Started on the pool's threads, which must outlive what they start.
        blocking_ = std::make_unique<thread_pool>(2, 100);
        before_ = test::open_descriptors();
    }
    void open(confined_intake_options options = {}, const std::string& path = HEARTH_UNPACK_PATH) {
        auto program = confined_intake::open_program(path);
        ASSERT_TRUE(program) << program.error().message;
        auto made = confined_intake::create(std::move(*program), *blocking_, options);
        ASSERT_TRUE(made) << made.error().message;
        intake_ = std::move(*made);
    }
    void TearDown() override {
        intake_.reset();
        EXPECT_EQ(test::open_descriptors(), before_);
        EXPECT_EQ(children(), 0u);
    }
    void run(std::function<task<void>()> body) {
        loop_->run([](confined_intake& intake, std::function<task<void>()> during) -> task<void> {
            co_await during();
            co_await intake.finish();
        }(*intake_, std::move(body)));
    }
    // tests/integration/faas/hostile in hearth-unpack's place; a folder of its own for each.
    std::string hostile(const std::string& how) {
        const fs::path folder = directory_.file(concat("hostile-", ++hostiles_));
        fs::create_directory(folder);
        fs::copy_file(HOSTILE_UNPACK_PATH, folder / how);
        return folder / how;
    }

    std::unique_ptr<uring::ring> loop_;
    std::unique_ptr<thread_pool> blocking_;
    std::unique_ptr<confined_intake> intake_;
    test::temporary_directory directory_;
    std::size_t before_ = 0;
    int hostiles_ = 0;
};

TEST_F(confined_intake_test, checks_and_unpacks_as_the_reader_itself_does) {
    open();
    run([&]() -> task<void> {
        const unique_fd file = file_of(good);
        const auto expected = check_archive(file.get());
        EXPECT_EQ((co_await intake_->check(file.get(), after(seconds(30)))).value(),
                  expected.value());
        fs::create_directory(directory_.file("out"));
        const unique_fd folder(::open(directory_.file("out").c_str(), O_RDONLY | O_DIRECTORY));
        const auto unpacked =
            co_await intake_->unpack(file.get(), folder.get(), after(seconds(30)));
        EXPECT_EQ(unpacked.value(), expected.value());
        struct stat status{};
        EXPECT_EQ(::fstatat(folder.get(), "pkg/x.py", &status, 0), 0);
        EXPECT_EQ(status.st_mode & 07777, 0644u);
        EXPECT_EQ(status.st_size, 1);
        EXPECT_EQ(::fstatat(folder.get(), "pkg", &status, 0), 0);
        EXPECT_EQ(status.st_mode & 07777, 0755u);
    });
}

TEST_F(confined_intake_test, a_refusal_comes_with_its_reason) {
    open();
    run([&]() -> task<void> {
        const unique_fd file = file_of(make_zip({{.name = "../x", .content = "1"}}));
        const auto refused = co_await intake_->check(file.get(), after(seconds(30)));
        EXPECT_FALSE(refused);
        EXPECT_EQ(refused.error().code, errc::invalid_argument);
        EXPECT_THAT(refused.error().message, HasSubstr("leaves its folder"));
    });
    EXPECT_EQ(intake_->statistics().failed, 0u);
}

TEST_F(confined_intake_test, more_at_once_than_may_work_wait_their_turn) {
    open({.at_once_max = 2});
    run([&]() -> task<void> {
        const unique_fd file = file_of(good);
        std::vector<task<result<archive_summary>>> many;
        for (int i = 0; i < 20; ++i) {
            many.push_back(intake_->check(file.get(), after(seconds(60))));
        }
        for (const auto& each : co_await when_all(std::move(many))) {
            EXPECT_TRUE(each) << each.error().message;
        }
        co_await intake_->finish();
        EXPECT_LE(children(), 1u) << "only the one that waits";
    });
}

TEST_F(confined_intake_test, more_than_may_wait_are_told_so) {
    open({.at_once_max = 1, .waiting_max = 1});
    run([&]() -> task<void> {
        const unique_fd file = file_of(good);
        std::vector<task<result<archive_summary>>> three;
        for (int i = 0; i < 3; ++i) {
            three.push_back(intake_->check(file.get(), after(seconds(60))));
        }
        const auto ends = co_await when_all(std::move(three));
        EXPECT_TRUE(ends[0] && ends[1]);
        EXPECT_EQ(ends[2].error().code, errc::limit_exceeded);
    });
}

TEST_F(confined_intake_test, one_that_died_while_it_waited_is_replaced) {
    open();
    std::ifstream list(concat("/proc/self/task/", ::getpid(), "/children"));
    pid_t waiting = 0;
    ASSERT_TRUE(list >> waiting);
    ASSERT_EQ(::kill(waiting, SIGKILL), 0);
    // Its end closes the socket, which is what the next call sees.
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(waiting), &info, WEXITED | WNOWAIT), 0);
    run([&]() -> task<void> {
        const unique_fd file = file_of(good);
        EXPECT_TRUE(co_await intake_->check(file.get(), after(seconds(30))));
    });
}

TEST_F(confined_intake_test, a_program_that_is_missing_or_ends_is_found_at_start) {
    EXPECT_FALSE(confined_intake::open_program("/nowhere/hearth-unpack"));
    for (const char* how : {"start-ends", "start-closes", "start-noise"}) {
        auto program = confined_intake::open_program(hostile(how));
        ASSERT_TRUE(program);
        EXPECT_FALSE(confined_intake::create(std::move(*program), *blocking_)) << how;
    }
}

class hostile_reader : public confined_intake_test {
protected:
    void open_with(const std::string& how, confined_intake_options options = {}) {
        open(options, hostile(how));
    }
    result<archive_summary> check(deadline until = after(seconds(60))) {
        const unique_fd file = file_of(good);
        result<archive_summary> end = fail(errc::internal, "no end");
        run([&]() -> task<void> { end = co_await intake_->check(file.get(), until); });
        return end;
    }
};

TEST_F(hostile_reader, what_is_no_report_is_a_refusal_of_the_archive) {
    open_with("noise");
    const auto end = check();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, errc::invalid_argument);
    EXPECT_THAT(end.error().message, HasSubstr("its reader failed"));
    EXPECT_EQ(intake_->statistics().failed, 1u);
}

TEST_F(hostile_reader, one_that_ends_or_crashes_is_a_refusal_of_the_archive) {
    for (const char* how : {"ends", "crashes", "closes"}) {
        open_with(how);
        const auto end = check();
        ASSERT_FALSE(end) << how;
        EXPECT_EQ(end.error().code, errc::invalid_argument);
        EXPECT_THAT(end.error().message, HasSubstr("its reader failed"));
    }
}

TEST_F(hostile_reader, one_that_used_up_its_processor_time_is_too_large) {
    open_with("used-up");
    EXPECT_EQ(check().error().code, errc::too_large);
}

TEST_F(hostile_reader, one_that_goes_on_after_its_report_is_ended) {
    open_with("goes-on");
    EXPECT_TRUE(check());
}

TEST_F(hostile_reader, one_that_says_nothing_is_ended_when_its_time_is_over) {
    open_with("silent", {.time_max = milliseconds(50)});
    const auto end = check();
    EXPECT_EQ(end.error().code, errc::too_large);
    EXPECT_THAT(end.error().message, HasSubstr("takes longer"));
}

TEST_F(hostile_reader, the_callers_deadline_is_the_callers) {
    open_with("silent");
    EXPECT_EQ(check(after(milliseconds(50))).error().code, errc::deadline_exceeded);
}

TEST_F(hostile_reader, is_ended_with_a_task_that_is_stopped_and_holds_nobody_up) {
    open_with("silent-once", {.at_once_max = 2});
    const std::string first = directory_.file(concat("hostile-", hostiles_, "/first"));
    run([&]() -> task<void> {
        const unique_fd file = file_of(good);
        scope hanging;
        result<archive_summary> end = fail(errc::internal, "no end");
        hanging.spawn(
            [](confined_intake& intake, int zip, result<archive_summary>& into) -> task<void> {
                into = co_await intake.check(zip, never);
            }(*intake_, file.get(), end));
        while (!fs::exists(first)) {
            [[maybe_unused]] const auto slept = co_await sleep_until(after(milliseconds(1)));
        }
        for (int i = 0; i < 3; ++i) {
            EXPECT_TRUE(co_await intake_->check(file.get(), after(seconds(60))));
        }
        hanging.request_stop();
        co_await hanging.join();
        EXPECT_EQ(end.error().code, errc::cancelled);
        co_await intake_->finish();
        EXPECT_LE(children(), 1u);
    });
}

}  // namespace
}  // namespace hearth::faas
