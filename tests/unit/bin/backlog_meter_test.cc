#include "backlog_meter.h"

#include <cmath>

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "fleet_gauges.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/port/redis_fixtures.h"

namespace hearth {
namespace {

using test::soon;

faas::worker_report report_of(std::string id) {
    return {.id = std::move(id), .sandboxes_max = 8};
}

// A queue whose depth is as set, or not to be had.
class set_queue final : public faas::job_queue {
public:
    result<depth> says = depth{};

    task<result<>> enqueue(const faas::job&, deadline) override { co_return result<>{}; }
    task<result<std::vector<faas::job_delivery>>> receive(std::size_t, milliseconds,
                                                          deadline) override {
        co_return std::vector<faas::job_delivery>{};
    }
    task<result<>> extend(std::string_view, milliseconds, deadline) override {
        co_return result<>{};
    }
    task<result<>> acknowledge(std::string_view, deadline) override { co_return result<>{}; }
    task<result<>> release(std::string_view, milliseconds, bool, deadline) override {
        co_return result<>{};
    }
    task<result<>> bury(std::string_view, deadline) override { co_return result<>{}; }
    task<result<std::vector<faas::job>>> unsettled_dead(std::size_t, deadline) override {
        co_return std::vector<faas::job>{};
    }
    task<result<>> settle_dead(std::string_view, deadline) override { co_return result<>{}; }
    task<result<depth>> measure(deadline) override { co_return says; }
};

class backlog_meter_test : public ::testing::Test, public test::redis_fixture {
protected:
    ~backlog_meter_test() override { end(); }

    double measured(backlog_meter& by) {
        const auto value = loop().run(by.per_instance(soon()));
        EXPECT_TRUE(value) << value.error().message;
        return value.value_or(-1);
    }
    std::string shown(backlog_meter& by) {
        fleet_gauges(registry_).set_backlog(loop().run(by.read(soon())), by.age());
        return prometheus::TextSerializer().Serialize(registry_.Collect());
    }

    set_queue queue_;
    ctrl::worker_registry one_;
    ctrl::worker_registry other_;
    redis::worker_census census_{client(), {}};
    backlog_meter meter_{queue_, one_, census_};
    backlog_meter others_{queue_, other_, census_};
    prometheus::Registry registry_;
};

TEST_F(backlog_meter_test, two_controllers_measure_the_same_whichever_workers_they_hear) {
    queue_.says = faas::job_queue::depth{.visible = 20, .in_flight = 10, .dead = 7};
    for (const auto* id : {"a", "b"}) {
        ASSERT_TRUE(one_.heard(report_of(id), steady_clock::now(), wall_clock_ms()));
    }
    ASSERT_TRUE(other_.heard(report_of("c"), steady_clock::now(), wall_clock_ms()));
    measured(meter_);
    EXPECT_EQ(measured(others_), 10.0);
    EXPECT_EQ(measured(meter_), 10.0);
}

TEST_F(backlog_meter_test, jobs_that_run_count_so_that_a_fleet_that_keeps_up_has_a_number) {
    queue_.says = faas::job_queue::depth{.visible = 0, .in_flight = 6};
    ASSERT_TRUE(one_.heard(report_of("a"), steady_clock::now(), wall_clock_ms()));
    ASSERT_TRUE(one_.heard(report_of("b"), steady_clock::now(), wall_clock_ms()));
    EXPECT_EQ(measured(meter_), 3.0);
}

TEST_F(backlog_meter_test, without_any_worker_the_backlog_counts_as_one_workers) {
    queue_.says = faas::job_queue::depth{.visible = 5};
    EXPECT_EQ(measured(meter_), 5.0);
}

TEST_F(backlog_meter_test, without_the_others_there_is_no_number_rather_than_a_wrong_one) {
    ASSERT_TRUE(one_.heard(report_of("a"), steady_clock::now(), wall_clock_ms()));
    measured(meter_);
    server().kill();
    loop().run_until([this] { return !client().connected(); });
    EXPECT_FALSE(loop().run(meter_.per_instance(soon())));
    const auto text = shown(meter_);
    EXPECT_TRUE(text.contains("hearth_backlog_per_instance Nan")) << text;
    EXPECT_TRUE(text.contains("hearth_jobs{state=\"visible\"} 0")) << text;
}

TEST_F(backlog_meter_test, a_queue_that_does_not_answer_leaves_no_stale_numbers) {
    queue_.says = faas::job_queue::depth{.visible = 5};
    EXPECT_TRUE(shown(meter_).contains("hearth_jobs_up 1"));
    queue_.says = fail(errc::unavailable, "away");
    const auto text = shown(meter_);
    EXPECT_TRUE(text.contains("hearth_jobs_up 0")) << text;
    EXPECT_TRUE(text.contains("hearth_jobs{state=\"visible\"} Nan")) << text;
    EXPECT_TRUE(text.contains("hearth_backlog_per_instance Nan")) << text;
    EXPECT_TRUE(text.contains("hearth_jobs_age_seconds 0")) << text;  // a reading is remembered
}

}  // namespace
}  // namespace hearth
