#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "faas/ports.h"
#include "tests/support/test_executor.h"

// What every result bus must hold. The fixture is default-constructible and has
//     test_executor& loop();
//     faas::result_bus& port();
//     void settle();   // returns when every wait that was started is listening

namespace hearth::test {

template <class Fixture>
class result_bus_conformance : public ::testing::Test {
protected:
    using waiting = test_loop::pending<result<faas::invocation_record>>;

    static faas::invocation_record make_record(std::string_view id, std::string result_json = "1") {
        faas::invocation_record record;
        record.job_id = id;
        record.function_id = "function-1";
        record.status = faas::invocation_status::succeeded;
        record.end.status = faas::invocation_status::succeeded;
        record.end.result_json = std::move(result_json);
        record.end.logs = "a line\n";
        return record;
    }
    template <class T>
    T run(task<T> work) {
        return fixture_.loop().run(std::move(work));
    }
    faas::result_bus& bus() { return fixture_.port(); }
    waiting wait(std::string_view id, deadline until = soon()) {
        return fixture_.loop().start(bus().wait(id, until));
    }
    void publish(const faas::invocation_record& record) {
        const auto published = run(bus().publish(record, wall_clock_ms() + 60'000, soon()));
        ASSERT_TRUE(published) << published.error().message;
    }

    Fixture fixture_;
};
TYPED_TEST_SUITE_P(result_bus_conformance);

TYPED_TEST_P(result_bus_conformance, a_waiter_gets_the_published_record) {
    auto waiter = this->wait("job-1");
    this->fixture_.settle();
    this->publish(this->make_record("job-1", R"({"a":"ü"})"));
    const auto got = waiter.get();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->job_id, "job-1");
    EXPECT_EQ(got->function_id, "function-1");
    EXPECT_EQ(got->status, faas::invocation_status::succeeded);
    EXPECT_EQ(got->end.result_json, R"({"a":"ü"})");
    EXPECT_EQ(got->end.logs, "a line\n");
}

TYPED_TEST_P(result_bus_conformance, every_waiter_of_a_job_gets_the_record) {
    std::vector<typename TestFixture::waiting> waiters;
    for (int i = 0; i < 5; ++i) {
        waiters.push_back(this->wait("job-1"));
    }
    this->fixture_.settle();
    this->publish(this->make_record("job-1"));
    for (auto& each : waiters) {
        EXPECT_TRUE(each.get());
    }
}

TYPED_TEST_P(result_bus_conformance, other_jobs_do_not_end_a_wait) {
    auto waiter = this->wait("job-1", after(milliseconds(50)));
    this->fixture_.settle();
    this->publish(this->make_record("job-2"));
    const auto got = waiter.get();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::deadline_exceeded);
}

TYPED_TEST_P(result_bus_conformance, publishing_without_a_waiter_succeeds) {
    this->publish(this->make_record("job-1"));
}

TYPED_TEST_P(result_bus_conformance, stop_ends_a_wait_with_cancelled) {
    auto waiter = this->wait("job-1");
    this->fixture_.settle();
    waiter.stop();
    const auto got = waiter.get();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::cancelled);
    this->publish(this->make_record("job-1"));
}

TYPED_TEST_P(result_bus_conformance, a_wait_that_gave_up_does_not_take_the_record_from_others) {
    auto gone = this->wait("job-1");
    auto staying = this->wait("job-1");
    this->fixture_.settle();
    gone.stop();
    EXPECT_FALSE(gone.get());
    this->publish(this->make_record("job-1"));
    EXPECT_TRUE(staying.get());
}

TYPED_TEST_P(result_bus_conformance, the_largest_result_is_carried_or_said_to_be_in_the_log) {
    auto waiter = this->wait("job-1");
    this->fixture_.settle();
    const std::string large = "\"" + std::string(faas::payload_bytes_max - 2, 'x') + "\"";
    this->publish(this->make_record("job-1", large));
    const auto got = waiter.get();
    if (got) {
        EXPECT_EQ(got->end.result_json, large);
    } else {
        EXPECT_EQ(got.error().code, errc::too_large);
    }
}

TYPED_TEST_P(result_bus_conformance, publishing_what_nobody_awaits_succeeds) {
    const auto published = this->run(this->bus().publish(this->make_record("job-1"), 0, soon()));
    EXPECT_TRUE(published);
}

TYPED_TEST_P(result_bus_conformance, only_the_end_of_an_invocation_is_published) {
    auto record = this->make_record("job-1");
    record.status = faas::invocation_status::running;
    const auto refused = this->run(this->bus().publish(record, wall_clock_ms() + 60'000, soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::invalid_argument);
}

REGISTER_TYPED_TEST_SUITE_P(result_bus_conformance, a_waiter_gets_the_published_record,
                            every_waiter_of_a_job_gets_the_record, other_jobs_do_not_end_a_wait,
                            publishing_without_a_waiter_succeeds, stop_ends_a_wait_with_cancelled,
                            a_wait_that_gave_up_does_not_take_the_record_from_others,
                            the_largest_result_is_carried_or_said_to_be_in_the_log,
                            publishing_what_nobody_awaits_succeeds,
                            only_the_end_of_an_invocation_is_published);

}  // namespace hearth::test
