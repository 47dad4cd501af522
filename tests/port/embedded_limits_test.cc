#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"
#include "embedded/job_store.h"
#include "tests/port/code_store_conformance.h"
#include "tests/port/embedded_fixtures.h"

// What holds for the embedded implementations beyond their ports: limits, and what they leave on
// the disk.

namespace hearth::test {
namespace {

using embedded::connection;
using embedded::rate_limiter;
using ::testing::HasSubstr;

class embedded_limits : public ::testing::Test, public embedded_fixture {
protected:
    static faas::job make_job(int number) {
        return {concat("job-", number), "request", "function", "{}"};
    }
};

TEST_F(embedded_limits, a_full_queue_refuses_until_a_job_is_settled) {
    embedded::job_queue queue(database(), 3);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(loop().run(queue.enqueue(make_job(i), soon())));
    }
    const auto refused = loop().run(queue.enqueue(make_job(3), soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::limit_exceeded);
    const auto jobs = loop().run(queue.receive(1, seconds(60), soon()));
    ASSERT_TRUE(loop().run(queue.acknowledge(jobs->front().receipt, soon())));
    EXPECT_TRUE(loop().run(queue.enqueue(make_job(3), soon())));
}

TEST_F(embedded_limits, dead_jobs_that_nobody_was_told_of_fill_the_queue_too) {
    epoch_ms now = 1'000'000;
    embedded::job_queue queue(database(), 1, [&] { return now; });
    ASSERT_TRUE(loop().run(queue.enqueue(make_job(1), soon())));
    for (std::int64_t i = 0; i < faas::attempts_max; ++i) {
        ASSERT_EQ(loop().run(queue.receive(1, seconds(1), soon()))->size(), 1u);
        now += 1000;
    }
    ASSERT_TRUE(loop().run(queue.receive(1, seconds(1), after(milliseconds(1))))->empty());
    EXPECT_FALSE(loop().run(queue.enqueue(make_job(2), soon())));
    ASSERT_TRUE(loop().run(queue.settle_dead("job-1", soon())));
    EXPECT_TRUE(loop().run(queue.enqueue(make_job(2), soon())));
    const auto conflict = loop().run(queue.enqueue(make_job(1), soon()));
    ASSERT_FALSE(conflict);
}

TEST_F(embedded_limits, the_oldest_settled_dead_are_forgotten) {
    embedded::job_queue queue(database());
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(loop().run(queue.enqueue(make_job(i), soon())));
    }
    const auto jobs = loop().run(queue.receive(5, seconds(60), soon()));
    ASSERT_EQ(jobs->size(), 5u);
    for (const auto& each : *jobs) {
        constexpr std::int64_t dead_told_max = 2;
        ASSERT_TRUE(loop().run(database().write(
            [&](connection& db) {
                return embedded::job_store::bury(db, each.receipt, dead_told_max);
            },
            soon())));
    }
    EXPECT_EQ(loop().run(queue.measure(soon()))->dead, 2);
    EXPECT_TRUE(loop().run(queue.enqueue(make_job(0), soon())));   // forgotten
    EXPECT_FALSE(loop().run(queue.enqueue(make_job(4), soon())));  // still known
}

TEST_F(embedded_limits, a_job_comes_back_by_itself_to_a_poll_of_another_queue_user) {
    embedded::job_queue queue(database());
    ASSERT_TRUE(loop().run(queue.enqueue(make_job(1), soon())));
    ASSERT_EQ(loop().run(queue.receive(1, milliseconds(30), soon()))->size(), 1u);
    // Nothing but the visibility timeout, in real time, can end this poll.
    const auto again = loop().run(queue.receive(1, seconds(60), soon()));
    ASSERT_TRUE(again);
    ASSERT_EQ(again->size(), 1u);
    EXPECT_EQ(again->front().attempts, 2);
    EXPECT_EQ(loop().timers().size(), 0u);  // the alarm rests while nobody waits
}

class full_log : public embedded_limits {
protected:
    static constexpr std::int64_t records_max = 100;

    void finish_many(int count) {
        std::vector<test_loop::pending<result<bool>>> finishing;
        std::vector<faas::invocation_record> records(static_cast<std::size_t>(count));
        for (int i = 0; i < count; ++i) {
            auto& each = records[static_cast<std::size_t>(i)];
            each.job_id = concat("job-", i);
            each.status = faas::invocation_status::succeeded;
            finishing.push_back(loop().start(log_.finish_behind(each, soon())));
        }
        for (auto& each : finishing) {
            ASSERT_TRUE(each.get());
        }
    }
    bool has(const std::string& job_id) { return loop().run(log_.get(job_id, soon())).has_value(); }
    std::int64_t count() {
        return *loop().run(database().read(
            [](connection& db) -> result<std::int64_t> {
                auto rows = db.query("SELECT count(*) FROM invocations");
                const auto row = rows.step();
                return row ? result<std::int64_t>(rows.integer(0)) : std::unexpected(row.error());
            },
            soon()));
    }

    embedded::invocation_log log_{database(), records_max};
};

TEST_F(full_log, forgets_the_oldest_outcomes_and_refuses_nothing) {
    faas::invocation_record open{.job_id = "open"};
    open.status = faas::invocation_status::running;
    ASSERT_TRUE(loop().run(log_.create(open, soon())));
    finish_many(1'000);
    EXPECT_LE(count(), records_max + embedded::invocation_log::tidied_together + 1);
    EXPECT_GE(count(), records_max);
    EXPECT_FALSE(has("job-0"));
    EXPECT_TRUE(has("job-999"));
    EXPECT_TRUE(has("open")) << "it has not ended";
    open.job_id = "promised";
    EXPECT_TRUE(loop().run(log_.create(open, soon())));
}

TEST_F(full_log, counts_only_its_own_records) {
    embedded::job_queue queue(database());
    finish_many(10);
    const int jobs = 2 * static_cast<int>(embedded::invocation_log::tidied_together);
    for (int i = 0; i < jobs; ++i) {
        ASSERT_TRUE(loop().run(queue.enqueue(make_job(1'000 + i), soon())));
    }
    finish_many(1);
    EXPECT_EQ(count(), 10);
}

TEST_F(embedded_limits, expiry_goes_on_past_one_transaction) {
    embedded::invocation_log log(database());
    std::vector<test_loop::pending<result<bool>>> finishing;
    std::vector<faas::invocation_record> records(450);
    for (std::size_t i = 0; i < records.size(); ++i) {
        records[i].job_id = concat("job-", i);
        records[i].status = faas::invocation_status::failed;
        records[i].updated_at = 1000;
        finishing.push_back(loop().start(log.finish(records[i], soon())));
    }
    for (auto& each : finishing) {
        ASSERT_TRUE(each.get());
    }
    const auto expired = loop().run(log.expire(2000, soon()));
    ASSERT_TRUE(expired);
    EXPECT_EQ(*expired, 450);
    EXPECT_EQ(*loop().run(log.expire(2000, soon())), 0);
}

TEST(embedded_result_bus, a_waiter_that_comes_late_hears_nothing) {
    test_executor loop;
    embedded::result_bus bus;
    faas::invocation_record record{.job_id = "job-1", .status = faas::invocation_status::succeeded};
    ASSERT_TRUE(loop.run(bus.publish(record, 0, soon())));
    const auto got = loop.run(bus.wait("job-1", after(milliseconds(20))));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::deadline_exceeded);
}

TEST(embedded_result_bus, more_waiters_than_the_limit_are_refused) {
    test_executor loop;
    embedded::result_bus bus(1);
    auto first = loop.start(bus.wait("job-1", soon()));
    loop.run_ready_tasks();
    const auto refused = loop.run(bus.wait("job-2", soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::limit_exceeded);
    first.stop();
    EXPECT_FALSE(first.get());
    EXPECT_EQ(loop.run(bus.wait("job-2", passed())).error().code, errc::deadline_exceeded);
}

class embedded_rate_limiter : public ::testing::Test {
protected:
    embedded::rate_limiter_settings settings(std::int64_t limit) {
        return {.limit = limit, .window = milliseconds(1000), .now = [this] {
                    return now_;
                }};
    }
    steady_time now_{std::chrono::hours(1)};
};

TEST_F(embedded_rate_limiter, forgets_the_stalest_key_when_it_holds_the_most) {
    auto few = settings(1);
    few.keys_max = 2;
    rate_limiter limiter(few);
    EXPECT_TRUE(limiter.decide("a").allowed);
    EXPECT_TRUE(limiter.decide("b").allowed);
    EXPECT_FALSE(limiter.decide("a").allowed);  // now b is the stalest
    EXPECT_TRUE(limiter.decide("c").allowed);
    EXPECT_EQ(limiter.keys_held(), 2u);
    EXPECT_FALSE(limiter.decide("a").allowed);
    EXPECT_TRUE(limiter.decide("b").allowed);
}

TEST_F(embedded_rate_limiter, remembers_no_more_times_than_its_bound) {
    auto few = settings(4);
    few.entries_max = 6;
    rate_limiter limiter(few);
    for (int i = 0; i < 4; ++i) {
        EXPECT_TRUE(limiter.decide("a").allowed);
    }
    for (int i = 0; i < 4; ++i) {
        EXPECT_TRUE(limiter.decide("b").allowed);
    }
    EXPECT_LE(limiter.entries_held(), 6u);
    EXPECT_FALSE(limiter.decide("b").allowed);
}

TEST_F(embedded_rate_limiter, a_changed_limit_holds_from_the_next_request) {
    rate_limiter limiter(settings(4));
    for (int i = 0; i < 4; ++i) {
        EXPECT_TRUE(limiter.decide("a").allowed);
        now_ += milliseconds(100);
    }
    limiter.set_limit(2);
    // Four are in the window, the third of them leaves it last before two are left.
    const auto refused = limiter.decide("a");
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.retry_after, milliseconds(800));
    now_ += refused.retry_after;
    EXPECT_TRUE(limiter.decide("a").allowed);
    limiter.set_limit(0);
    EXPECT_TRUE(limiter.decide("a").allowed);
}

TEST_F(embedded_rate_limiter, stays_exact_while_its_memory_grows_and_turns) {
    rate_limiter limiter(settings(50));
    std::deque<steady_time> expected;
    for (int i = 0; i < 5000; ++i) {
        now_ += microseconds(1000 + i % 37 * 700);
        while (!expected.empty() && expected.front() + milliseconds(1000) <= now_) {
            expected.pop_front();
        }
        const bool allowed = expected.size() < 50;
        ASSERT_EQ(limiter.decide("a").allowed, allowed) << i;
        if (allowed) {
            expected.push_back(now_);
        }
    }
}

class embedded_code_files : public ::testing::Test, public embedded_code_fixture {
protected:
    std::string put(std::string_view content) {
        std::string hash = sha256_of(content);
        const unique_fd file = file_with(content);
        EXPECT_TRUE(loop().run(port().put(hash, file.get(), content.size(), soon())));
        return hash;
    }
    [[nodiscard]] std::size_t half_written() const {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(directory() + "/tmp"),
                          std::filesystem::directory_iterator{}));
    }
};

TEST_F(embedded_code_files, survive_a_restart_and_half_written_ones_do_not) {
    const std::string hash = put("kept");
    std::ofstream(directory() + "/tmp/" + hash + ".left") << "ke";
    reopen();
    EXPECT_EQ(half_written(), 0u);
    auto opened = loop().run(port().open(hash, soon()));
    ASSERT_TRUE(opened);
    EXPECT_EQ(read_all(opened->get()), "kept");
}

TEST_F(embedded_code_files, a_put_that_fails_leaves_nothing_half_written) {
    const unique_fd file = file_with("sent");
    EXPECT_FALSE(loop().run(port().put(sha256_of("meant"), file.get(), 4, soon())));
    EXPECT_EQ(half_written(), 0u);
    put("sent");
    EXPECT_EQ(half_written(), 0u);
}

TEST_F(embedded_code_files, damage_on_the_disk_is_noticed_and_healed_by_storing_again) {
    const std::string hash = put("def handler(): pass");
    for (const std::string_view damage : {"def handler(): evil", "def", ""}) {
        std::ofstream(directory() + "/" + hash, std::ios::trunc) << damage;
        const auto refused = loop().run(port().open(hash, soon()));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, errc::corrupt);
        EXPECT_THAT(refused.error().message, HasSubstr("upload the function again"));
    }
    put("def handler(): pass");
    EXPECT_TRUE(loop().run(port().open(hash, soon())));
}

TEST_F(embedded_code_files, a_folder_that_is_gone_is_not_said_to_be_missing_code) {
    std::filesystem::remove_all(directory());
    const auto file = file_with("content");
    const auto stored = loop().run(port().put(sha256_of("content"), file.get(), 7, soon()));
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, errc::io) << stored.error().message;
}

TEST_F(embedded_code_files, a_missing_parent_is_refused_with_the_remedy) {
    thread_pool pool(1, 1);
    const auto refused = embedded::code_store::open(directory() + "/absent/deep", pool);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("check that its parent exists"));
}

}  // namespace
}  // namespace hearth::test
