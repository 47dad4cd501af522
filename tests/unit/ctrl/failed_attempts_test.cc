#include "ctrl/failed_attempts.h"

#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::ctrl {
namespace {

class failed_attempts_test : public ::testing::Test {
protected:
    void fail(std::string_view client, int times) {
        for (int i = 0; i < times; ++i) {
            attempts_.failed(client, now_);
        }
    }
    bool refused(std::string_view client) { return attempts_.must_wait(client, now_).has_value(); }

    steady_time now_ = steady_clock::now();
    failed_attempts attempts_{true};
};

TEST_F(failed_attempts_test, a_client_is_refused_from_the_limit_on) {
    fail("a", failed_attempts::failures_max - 1);
    EXPECT_FALSE(refused("a"));
    fail("a", 1);
    EXPECT_TRUE(refused("a"));
    EXPECT_FALSE(refused("b"));
}

TEST_F(failed_attempts_test, it_may_try_again_when_the_window_is_over_and_not_before) {
    fail("a", failed_attempts::failures_max);
    EXPECT_EQ(attempts_.must_wait("a", now_), failed_attempts::window);
    now_ += failed_attempts::window - milliseconds(1);
    EXPECT_EQ(attempts_.must_wait("a", now_), seconds(1));
    now_ += milliseconds(1);
    EXPECT_FALSE(refused("a"));
    fail("a", 1);
    EXPECT_FALSE(refused("a"));
}

TEST_F(failed_attempts_test, what_is_not_to_count_refuses_nobody) {
    failed_attempts open(false);
    for (int i = 0; i < 2 * failed_attempts::failures_max; ++i) {
        open.failed("a", now_);
    }
    EXPECT_FALSE(open.must_wait("a", now_));
}

TEST_F(failed_attempts_test, a_flood_of_addresses_takes_no_more_memory_than_the_limit) {
    for (std::size_t i = 0; i < 2 * failed_attempts::clients_max; ++i) {
        fail(concat("client-", i), 1);
    }
    EXPECT_LE(attempts_.clients(), failed_attempts::clients_max);
    fail("last", failed_attempts::failures_max);
    EXPECT_TRUE(refused("last"));
}

}  // namespace
}  // namespace hearth::ctrl
