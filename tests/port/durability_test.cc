#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/concat.h"
#include "base/ids.h"
#include "embedded/recovery.h"
#include "tests/port/child_process.h"
#include "tests/port/embedded_fixtures.h"

// What is on the disk when the process or the disk fails.

namespace hearth::test {
namespace {

using embedded::database;
using ::testing::HasSubstr;

void say(int output, std::string_view text) {
    EXPECT_EQ(::write(output, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

task<int> enqueue_forever(faas::job_queue& queue, int output) {
    for (;;) {
        const faas::job job{make_uuid(), "request", "function", R"({"n":1})"};
        if (!co_await queue.enqueue(job, never)) {
            co_return 1;
        }
        say(output, job.job_id + "\n");  // acknowledged: from here it must not be lost
    }
}

int enqueue_until_killed(const std::string& path, int output) {
    test_executor loop;
    auto db = database::open(path);
    if (!db) {
        return 2;
    }
    embedded::job_queue queue(**db);
    std::vector<test_loop::pending<int>> clients;
    for (int i = 0; i < 8; ++i) {
        clients.push_back(loop.start(enqueue_forever(queue, output)));
    }
    return clients.front().get();
}

// The complete lines in `text`; the kill may have cut the last one.
std::set<std::string> lines_of(const std::string& text) {
    std::set<std::string> lines;
    std::istringstream stream(text.substr(0, text.rfind('\n') + 1));
    for (std::string line; std::getline(stream, line);) {
        lines.insert(line);
    }
    return lines;
}

TEST(durability, every_acknowledged_job_survives_kill_9) {
    const temporary_directory directory;
    const std::string path = directory.file("hearth.db");
    std::set<std::string> acknowledged;
    for (int round = 0; round < 3; ++round) {
        child_process child([&](int output) { return enqueue_until_killed(path, output); });
        std::string text;
        std::array<char, 37> line;  // an id and its newline
        for (int i = 0; i < 100; ++i) {
            const ssize_t count = ::read(child.output(), line.data(), line.size());
            ASSERT_GT(count, 0) << "the child ended by itself: " << child.wait();
            text.append(line.data(), static_cast<std::size_t>(count));
        }
        child.kill();
        text += child.read_to_end();
        child.wait();
        acknowledged.merge(lines_of(text));
    }
    ASSERT_GE(acknowledged.size(), 290u);

    test_executor loop;
    const auto db = open_database(path);
    embedded::job_queue queue(*db);
    std::set<std::string> found;
    for (;;) {
        const auto jobs = loop.run(queue.receive(10, seconds(60), after(milliseconds(1))));
        ASSERT_TRUE(jobs) << jobs.error().message;
        if (jobs->empty()) {
            break;
        }
        for (const auto& each : *jobs) {
            EXPECT_EQ(each.content.event, R"({"n":1})");
            found.insert(each.content.job_id);
        }
    }
    EXPECT_TRUE(std::ranges::includes(found, acknowledged));
}

// A file system of its own that is soon full; false where the kernel does not allow one.
bool mount_small_disk(const std::string& path, std::string_view size) {
    return ::unshare(CLONE_NEWNS) == 0 &&
           ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("tmpfs", path.c_str(), "tmpfs", 0, concat("size=", size).c_str()) == 0;
}

constexpr int not_allowed = 77;

// Writes what went wrong to `output` and returns 0 when it got that far.
int fill_the_disk(const std::string& directory, int output) {
    if (!mount_small_disk(directory, "2m")) {
        return not_allowed;
    }
    test_executor loop;
    const std::string ballast = directory + "/ballast";
    std::ofstream(ballast) << std::string(1 << 20, 'b');
    const auto db = database::open(directory + "/hearth.db");
    if (!db) {
        say(output, db.error().message);
        return 1;
    }
    embedded::job_queue queue(**db);
    std::int64_t stored = 0;
    const std::string event = "\"" + std::string(20'000, 'e') + "\"";
    for (;;) {
        const faas::job job{concat("job-", stored), "request", "function", event};
        const auto enqueued = loop.run(queue.enqueue(job, never));
        if (!enqueued) {
            say(output, concat(to_string(enqueued.error().code), ": ", enqueued.error().message));
            break;
        }
        ++stored;
    }
    const auto held = loop.run(queue.measure(never));
    if (stored == 0 || !held || held->visible != stored) {
        say(output, " what was acknowledged is not what is stored");
        return 2;
    }
    std::filesystem::remove(ballast);
    const faas::job job{"after", "request", "function", "{}"};
    const auto enqueued = loop.run(queue.enqueue(job, never));
    if (!enqueued) {
        say(output, concat(" after room was made: ", enqueued.error().message));
        return 3;
    }
    return 0;
}

TEST(durability, a_full_disk_fails_the_write_with_the_remedy_and_room_heals_it) {
    const temporary_directory directory;
    child_process child([&](int output) { return fill_the_disk(directory.path(), output); });
    const std::string message = child.read_to_end();
    const int status = child.wait();
    if (WIFEXITED(status) && WEXITSTATUS(status) == not_allowed) {
        GTEST_SKIP() << "needs the right to mount";
    }
    EXPECT_EQ(status, 0) << message;
    EXPECT_THAT(message, HasSubstr("unavailable: nothing was stored"));
    EXPECT_THAT(message, HasSubstr("free space"));
}

TEST(durability, a_read_only_database_is_refused_with_the_remedy) {
    const temporary_directory directory;
    const std::string path = directory.file("hearth.db");
    open_database(path).reset();
    ASSERT_EQ(::chmod(path.c_str(), 0444), 0);
    ASSERT_EQ(::chmod(concat(path, ".lock").c_str(), 0666), 0);
    ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
    child_process child([&](int output) {
        constexpr uid_t nobody = 65534;  // root may write whatever the mode says
        if (::getuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) {
            return not_allowed;
        }
        const auto opened = database::open(path);
        say(output, opened ? "opened" : opened.error().message);
        return 0;
    });
    const std::string message = child.read_to_end();
    EXPECT_EQ(child.wait(), 0);
    EXPECT_THAT(message, HasSubstr(path));
    EXPECT_THAT(message, HasSubstr("writable"));
}

class recovery_test : public ::testing::Test {
protected:
    using status = faas::invocation_status;

    void create_record(std::string_view id, status now = status::queued) {
        faas::invocation_record record;
        record.job_id = id;
        record.status = now;
        ASSERT_TRUE(loop_.run(log_->create(record, soon())));
    }
    void mark_running(std::string_view id) {
        faas::invocation_record record;
        record.job_id = id;
        record.status = status::running;
        record.attempts = 1;
        ASSERT_TRUE(loop_.run(log_->mark_running(record, soon())));
    }
    void finish_record(std::string_view id, status now) {
        faas::invocation_record record;
        record.job_id = id;
        record.status = now;
        ASSERT_TRUE(loop_.run(log_->finish(record, soon())));
    }
    void enqueue(std::string_view id) {
        const faas::job job{std::string(id), "request", "function", "{}"};
        ASSERT_TRUE(loop_.run(queue_->enqueue(job, soon())));
    }
    faas::job_delivery take() {
        const auto jobs = loop_.run(queue_->receive(1, std::chrono::hours(1), soon()));
        EXPECT_TRUE(jobs && jobs->size() == 1);
        return jobs && !jobs->empty() ? jobs->front() : faas::job_delivery{};
    }
    status status_of(std::string_view id) { return loop_.run(log_->get(id, soon()))->status; }
    void start() {
        database_ = open_database(directory_.file("hearth.db"));
        queue_.emplace(*database_);
        log_.emplace(*database_);
    }
    embedded::recovery_report restart() {
        queue_.reset();
        log_.reset();
        database_.reset();
        start();
        const auto report = loop_.run(embedded::recover(*database_, wall_clock_ms(), soon()));
        EXPECT_TRUE(report) << report.error().message;
        return report.value_or(embedded::recovery_report{-1, -1, -1});
    }
    void SetUp() override { start(); }

    test_executor loop_;
    temporary_directory directory_;
    std::unique_ptr<database> database_;
    std::optional<embedded::job_queue> queue_;
    std::optional<embedded::invocation_log> log_;
};

TEST_F(recovery_test, a_job_that_was_running_can_be_had_at_once_with_its_attempt_counted) {
    create_record("job-1");
    enqueue("job-1");
    const auto before = take();
    mark_running("job-1");
    EXPECT_EQ(restart().redelivered, 1);
    EXPECT_EQ(status_of("job-1"), status::queued);
    EXPECT_EQ(loop_.run(queue_->acknowledge(before.receipt, soon())).error().code, errc::not_found);
    EXPECT_EQ(take().attempts, 2);
}

TEST_F(recovery_test, a_job_without_a_record_is_known_by_the_queue_until_it_has_one) {
    const std::string id = make_uuid();
    enqueue(id);
    EXPECT_EQ(restart().lost, 0);
    EXPECT_EQ(status_of(id), status::queued);
    EXPECT_EQ(loop_.run(log_->get(id, soon()))->created_at, time_of_uuid(id));
    ASSERT_TRUE(loop_.run(queue_->acknowledge(take().receipt, soon())));
    EXPECT_EQ(loop_.run(log_->get(id, soon())).error().code, errc::not_found);
}

TEST_F(recovery_test, a_record_that_never_got_its_job_is_lost) {
    create_record("job-1");
    EXPECT_EQ(restart().lost, 1);
    const auto stored = loop_.run(log_->get("job-1", soon()));
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->status, status::failed);
    EXPECT_EQ(stored->end.error_type, embedded::host_lost);
    EXPECT_NE(stored->end.error_message, "");
}

TEST_F(recovery_test, a_synchronous_call_that_was_running_is_lost) {
    create_record("sync-1", status::running);
    EXPECT_EQ(restart().lost, 1);
    EXPECT_EQ(status_of("sync-1"), status::failed);
}

TEST_F(recovery_test, a_job_with_an_outcome_does_not_run_again) {
    create_record("job-1");
    enqueue("job-1");
    take();
    finish_record("job-1", status::succeeded);
    EXPECT_EQ(restart().completed, 1);
    const auto held = loop_.run(queue_->measure(soon()));
    ASSERT_TRUE(held);
    EXPECT_EQ(held->visible + held->in_flight + held->dead, 0);
    EXPECT_EQ(status_of("job-1"), status::succeeded);
}

TEST_F(recovery_test, a_job_recorded_as_dead_goes_to_the_dead_letters) {
    create_record("job-1");
    enqueue("job-1");
    take();
    finish_record("job-1", status::dead);
    EXPECT_EQ(restart().completed, 1);
    const auto held = loop_.run(queue_->measure(soon()));
    ASSERT_TRUE(held);
    EXPECT_EQ(held->dead, 1);
    EXPECT_TRUE(loop_.run(queue_->unsettled_dead(10, soon()))->empty());
}

TEST_F(recovery_test, an_untouched_job_stays_as_it_is) {
    create_record("job-1");
    enqueue("job-1");
    const auto report = restart();
    EXPECT_EQ(report.redelivered + report.completed + report.lost, 0);
    EXPECT_EQ(status_of("job-1"), status::queued);
    EXPECT_EQ(take().attempts, 1);
}

TEST_F(recovery_test, running_it_again_changes_nothing) {
    create_record("lost");
    create_record("job-1");
    enqueue("job-1");
    take();
    restart();
    const auto again = restart();
    EXPECT_EQ(again.redelivered + again.completed + again.lost, 0);
}

TEST_F(recovery_test, jobs_that_died_unseen_wait_to_be_settled) {
    create_record("job-1");
    enqueue("job-1");
    for (std::int64_t attempt = 1; attempt <= faas::attempts_max; ++attempt) {
        EXPECT_EQ(take().attempts, attempt);
        restart();
    }
    EXPECT_TRUE(loop_.run(queue_->receive(1, seconds(1), after(milliseconds(1))))->empty());
    EXPECT_EQ(restart().lost, 0);
    EXPECT_EQ(status_of("job-1"), status::queued);
    EXPECT_EQ(loop_.run(queue_->unsettled_dead(10, soon()))->size(), 1u);
}

}  // namespace
}  // namespace hearth::test
