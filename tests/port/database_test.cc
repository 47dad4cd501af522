#include "embedded/database.h"

#include <fstream>
#include <latch>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/concat.h"
#include "embedded/invocation_log.h"
#include "embedded/schema.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/port/temporary_directory.h"
#include "tests/support/test_executor.h"

namespace hearth::test {
namespace {

using embedded::connection;
using embedded::database;
using embedded::statement;
using ::testing::HasSubstr;

class database_test : public ::testing::Test {
protected:
    void open(std::size_t queue_max = 4096, milliseconds patience = milliseconds(10)) {
        database_ = open_database(path_, {.queue_max = queue_max, .patience = patience});
        ASSERT_TRUE(loop_.run(database_->write(
            [](connection& db) {
                return db.run_script("CREATE TABLE items (id INTEGER PRIMARY KEY) STRICT");
            },
            soon())));
    }
    task<result<std::int64_t>> insert(std::int64_t id, deadline until = soon()) {
        return database_->write(
            [id](connection& db) { return db.execute("INSERT INTO items VALUES (?1)", id); },
            until);
    }
    task<result<std::int64_t>> insert_behind(std::int64_t id) {
        return database_->write(
            [id](connection& db) { return db.execute("INSERT INTO items VALUES (?1)", id); },
            soon(), {.when = embedded::urgency::behind, .undoes_itself = true});
    }
    std::int64_t count() {
        const auto counted = loop_.run(database_->read(
            [](connection& db) -> result<std::int64_t> {
                statement rows = db.query("SELECT count(*) FROM items");
                const auto row = rows.step();
                return row ? result<std::int64_t>(rows.integer(0)) : std::unexpected(row.error());
            },
            soon()));
        EXPECT_TRUE(counted);
        return counted.value_or(-1);
    }
    // Keeps the writer busy until `release` is counted down; returns when it has begun.
    test_loop::pending<result<int>> hold_writer(std::latch& release) {
        auto begun = std::make_shared<std::latch>(1);
        auto holding = loop_.start(database_->write(
            [begun, &release](connection&) -> result<int> {
                begun->count_down();
                release.wait();
                return 0;
            },
            soon()));
        loop_.run_ready_tasks();
        begun->wait();
        return holding;
    }
    error open_error() {
        const auto opened = database::open(path_);
        EXPECT_FALSE(opened);
        return opened ? error{} : opened.error();
    }

    test_executor loop_;
    temporary_directory directory_;
    std::string path_ = directory_.file("hearth.db");
    std::unique_ptr<database> database_;
};

TEST_F(database_test, writes_that_wait_share_one_commit) {
    open();
    std::latch release(1);
    auto holding = hold_writer(release);
    const auto before = database_->measure();
    std::vector<test_loop::pending<result<std::int64_t>>> writes;
    for (std::int64_t id = 1; id <= 64; ++id) {
        writes.push_back(loop_.start(insert(id)));
    }
    loop_.run_ready_tasks();
    EXPECT_EQ(database_->measure().waiting, 64u);
    release.count_down();
    for (auto& each : writes) {
        EXPECT_TRUE(each.get());
    }
    EXPECT_TRUE(holding.get());
    const auto now = database_->measure();
    EXPECT_EQ(now.commits - before.commits, 2u);  // the held one and the 64
    EXPECT_EQ(now.writes - before.writes, 65u);
    EXPECT_EQ(count(), 64);
}

TEST_F(database_test, a_group_has_a_largest_size) {
    open();
    std::latch release(1);
    auto holding = hold_writer(release);
    const auto before = database_->measure();
    std::vector<test_loop::pending<result<std::int64_t>>> writes;
    for (std::size_t id = 0; id < database::writes_per_commit_max + 1; ++id) {
        writes.push_back(loop_.start(insert(static_cast<std::int64_t>(id))));
    }
    loop_.run_ready_tasks();
    release.count_down();
    for (auto& each : writes) {
        EXPECT_TRUE(each.get());
    }
    EXPECT_EQ(database_->measure().commits - before.commits, 3u);
}

TEST_F(database_test, writes_that_nobody_waits_for_are_written_with_the_next_awaited_one) {
    open(4096, std::chrono::hours(1));
    const auto before = database_->measure();
    std::vector<test_loop::pending<result<std::int64_t>>> writes;
    for (std::int64_t id = 1; id <= 64; ++id) {
        writes.push_back(loop_.start(insert_behind(id)));
    }
    loop_.run_ready_tasks();
    EXPECT_EQ(database_->measure().waiting, 64u);
    EXPECT_TRUE(loop_.run(insert(65)));
    for (auto& each : writes) {
        EXPECT_TRUE(each.get());
    }
    EXPECT_EQ(database_->measure().commits - before.commits, 1u);
    EXPECT_EQ(count(), 65);
}

TEST_F(database_test, writes_that_nobody_waits_for_are_written_when_their_patience_ends) {
    open(4096, milliseconds(1));
    auto first = loop_.start(insert_behind(1));
    auto second = loop_.start(insert_behind(2));
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
}

TEST_F(database_test, as_many_as_a_commit_holds_have_no_patience) {
    open(4096, std::chrono::hours(1));
    std::vector<test_loop::pending<result<std::int64_t>>> writes;
    for (std::size_t id = 1; id <= database::writes_per_commit_max; ++id) {
        writes.push_back(loop_.start(insert_behind(static_cast<std::int64_t>(id))));
    }
    for (auto& each : writes) {
        EXPECT_TRUE(each.get());
    }
}

TEST_F(database_test, what_nobody_waits_for_is_written_before_the_database_closes) {
    open(4096, std::chrono::hours(1));
    auto waiting = loop_.start(insert_behind(1));
    loop_.run_ready_tasks();
    EXPECT_EQ(database_->measure().waiting, 1u);
    database_.reset();
    EXPECT_TRUE(waiting.get());
    database_ = open_database(path_, {});
    EXPECT_EQ(count(), 1);
}

TEST_F(database_test, a_write_of_one_statement_that_fails_leaves_the_others_of_its_group) {
    open(4096, std::chrono::hours(1));
    auto first = loop_.start(insert_behind(1));
    auto again = loop_.start(insert_behind(1));
    auto last = loop_.start(insert(2));
    EXPECT_TRUE(first.get());
    EXPECT_EQ(again.get().error().code, errc::conflict);
    EXPECT_TRUE(last.get());
    EXPECT_EQ(count(), 2);
}

TEST_F(database_test, a_write_that_fails_undoes_itself_alone) {
    open();
    std::latch release(1);
    auto holding = hold_writer(release);
    auto first = loop_.start(insert(1));
    auto half = loop_.start(database_->write(
        [](connection& db) -> result<int> {
            (void)db.execute("INSERT INTO items VALUES (?1)", 2);
            return fail(errc::invalid_argument, "thought better of it");
        },
        soon()));
    auto twice = loop_.start(insert(1));
    auto last = loop_.start(insert(3));
    loop_.run_ready_tasks();
    release.count_down();
    EXPECT_TRUE(first.get());
    EXPECT_EQ(half.get().error().code, errc::invalid_argument);
    EXPECT_EQ(twice.get().error().code, errc::conflict);
    EXPECT_TRUE(last.get());
    EXPECT_EQ(count(), 2);
}

TEST_F(database_test, a_full_queue_of_writes_refuses_the_next) {
    open(2);
    std::latch release(1);
    auto holding = hold_writer(release);
    auto first = loop_.start(insert(1));
    auto second = loop_.start(insert(2));
    loop_.run_ready_tasks();
    const auto refused = loop_.run(insert(3));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::limit_exceeded);
    release.count_down();
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
    EXPECT_EQ(count(), 2);
}

TEST_F(database_test, a_write_whose_deadline_passes_in_the_queue_leaves_no_trace) {
    open();
    const deadline until = after(milliseconds(20));
    std::latch begun(1);
    auto holding = loop_.start(database_->write(
        [&begun, until](connection&) -> result<int> {
            begun.count_down();
            while (steady_clock::now() < until) {
                std::this_thread::yield();
            }
            return 0;
        },
        soon()));
    loop_.run_ready_tasks();
    begun.wait();
    const auto late = loop_.run(insert(1, until));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, errc::deadline_exceeded);
    EXPECT_EQ(count(), 0);
}

TEST_F(database_test, a_read_sees_what_was_written_before_it) {
    open();
    for (std::int64_t id = 1; id <= 20; ++id) {
        ASSERT_TRUE(loop_.run(insert(id)));
        EXPECT_EQ(count(), id);
    }
}

TEST_F(database_test, the_reading_connection_cannot_write) {
    open();
    const auto refused = loop_.run(database_->read(
        [](connection& db) { return db.execute("INSERT INTO items VALUES (?1)", 1); }, soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::permission_denied);
}

TEST_F(database_test, writes_of_several_loops_answer_each_on_its_own) {
    open();
    std::vector<std::thread> threads;
    std::atomic<int> stored = 0;
    for (int base = 0; base < 3; ++base) {
        threads.emplace_back([this, base, &stored] {
            test_executor own;
            for (int i = 1; i <= 50; ++i) {
                if (own.run(insert(base * 1000 + i))) {
                    ++stored;
                }
            }
        });
    }
    for (auto& each : threads) {
        each.join();
    }
    EXPECT_EQ(stored, 150);
    EXPECT_EQ(count(), 150);
}

TEST_F(database_test, its_files_are_for_their_owner_alone) {
    open();
    for (const std::string_view suffix : {"", "-wal", "-shm", ".lock"}) {
        struct stat status{};
        ASSERT_EQ(::stat(concat(path_, suffix).c_str(), &status), 0) << suffix;
        EXPECT_EQ(status.st_mode & 0777, 0600u) << suffix;
    }
}

TEST_F(database_test, a_second_user_of_the_file_is_held_off) {
    open();
    const auto refused = open_error();
    EXPECT_EQ(refused.code, errc::conflict);
    EXPECT_THAT(refused.message, HasSubstr("another Hearth process"));
    database_.reset();
    EXPECT_TRUE(database::open(path_));
}

TEST_F(database_test, a_file_of_a_newer_hearth_is_refused_and_left_alone) {
    open();
    ASSERT_TRUE(loop_.run(database_->write(
        [](connection& db) { return db.run_script("PRAGMA user_version = 999"); }, soon())));
    database_.reset();
    const auto refused = open_error();
    EXPECT_EQ(refused.code, errc::invalid_argument);
    EXPECT_THAT(refused.message, HasSubstr("newer Hearth"));
    EXPECT_THAT(refused.message, HasSubstr("999"));
}

TEST_F(database_test, a_file_of_the_first_version_is_raised_and_keeps_its_rows) {
    open();
    ASSERT_TRUE(loop_.run(database_->write(
        [](connection& db) {
            return db.run_script(
                "INSERT INTO invocations (job_id, request_id, function_id, status, final, attempts,"
                " created_at, updated_at) VALUES ('old', '', '', 'QUEUED', 0, 0, 1, 1);"
                "ALTER TABLE invocations DROP COLUMN cpu_ms;"
                "CREATE TABLE invocation_total (only_row INTEGER PRIMARY KEY, total INTEGER);"
                "CREATE TRIGGER invocations_added AFTER INSERT ON invocations BEGIN SELECT 1; END;"
                "CREATE TRIGGER invocations_removed AFTER DELETE ON invocations BEGIN SELECT 1; "
                "END;"
                "ALTER TABLE jobs DROP COLUMN caller_deadline; PRAGMA user_version = 1");
        },
        soon())));
    database_.reset();
    database_ = open_database(path_);
    embedded::invocation_log log(*database_, 10);
    auto old = loop_.run(log.get("old", soon()));
    ASSERT_TRUE(old) << old.error().message;
    EXPECT_EQ(old->end.cpu_ms, 0);
}

TEST_F(database_test, another_programs_database_is_refused) {
    {
        auto other = connection::open(path_);
        ASSERT_TRUE(other);
        ASSERT_TRUE((*other)->run_script("CREATE TABLE theirs (x)"));
    }
    const auto refused = open_error();
    EXPECT_EQ(refused.code, errc::corrupt);
    EXPECT_THAT(refused.message, HasSubstr("another program"));
}

TEST_F(database_test, a_damaged_file_is_refused_with_the_remedy) {
    std::ofstream(path_) << std::string(8192, 'x');
    const auto refused = open_error();
    EXPECT_EQ(refused.code, errc::corrupt);
    EXPECT_THAT(refused.message, HasSubstr("backup"));
    EXPECT_THAT(refused.message, HasSubstr(path_));
}

TEST_F(database_test, a_missing_folder_is_refused_with_the_remedy) {
    path_ = directory_.file("absent/hearth.db");
    const auto refused = open_error();
    EXPECT_THAT(refused.message, HasSubstr("folder exists"));
}

TEST_F(database_test, opening_again_keeps_what_is_stored) {
    open();
    ASSERT_TRUE(loop_.run(insert(7)));
    database_.reset();
    database_ = open_database(path_);
    EXPECT_EQ(count(), 1);
}

}  // namespace
}  // namespace hearth::test
