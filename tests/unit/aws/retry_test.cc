#include "aws/retry.h"

#include <gtest/gtest.h>

namespace hearth::aws {
namespace {

TEST(aws_retry, a_pause_is_anything_up_to_a_bound_that_doubles) {
    const pause_range range{.base = milliseconds(100),
                            .throttled_base = milliseconds(500),
                            .most = milliseconds(20'000)};
    EXPECT_EQ(pause_before(1, false, range, 100), milliseconds(100));
    EXPECT_EQ(pause_before(1, false, range, 101), milliseconds(0));
    EXPECT_EQ(pause_before(3, false, range, 400), milliseconds(400));
    EXPECT_EQ(pause_before(2, true, range, 1000), milliseconds(1000));
    EXPECT_EQ(pause_before(60, false, range, 20'000), milliseconds(20'000));
}

TEST(aws_retry, retries_end_when_their_budget_does_and_come_back_with_successes) {
    retry_budget budget;
    int retries = 0;
    while (budget.take(retry_budget::retry_cost)) {
        ++retries;
    }
    EXPECT_EQ(retries, 100);
    for (int i = 0; i < retry_budget::retry_cost; ++i) {
        budget.give(1);
    }
    EXPECT_TRUE(budget.take(retry_budget::retry_cost));
    EXPECT_FALSE(budget.take(retry_budget::retry_cost));
    budget.give(100'000);
    EXPECT_EQ(budget.tokens(), retry_budget::tokens_max);
}

class aws_send_rate : public testing::Test {
protected:
    // `count` calls that are answered evenly over a second.
    void answer(int count, bool throttled = false) {
        for (int i = 0; i < count; ++i) {
            now_ += nanoseconds(1'000'000'000 / count);
            rate_.answered(throttled && i == count - 1, now_);
        }
    }
    send_rate rate_;
    steady_time now_{std::chrono::hours(1)};
};

TEST_F(aws_send_rate, nobody_waits_until_the_service_says_slower) {
    answer(1000);
    EXPECT_FALSE(rate_.limited());
    EXPECT_EQ(rate_.admit(now_), now_);
}

TEST_F(aws_send_rate, being_throttled_shrinks_the_rate_below_what_was_measured) {
    answer(100);
    answer(100);
    answer(100, true);
    EXPECT_TRUE(rate_.limited());
    EXPECT_LT(rate_.per_second(), 80);
    EXPECT_GT(rate_.per_second(), 50);
    const double before = rate_.per_second();
    answer(50, true);
    EXPECT_LT(rate_.per_second(), before);
}

TEST_F(aws_send_rate, calls_beyond_the_rate_get_later_and_later_turns) {
    answer(10);
    answer(10, true);
    steady_time last = now_;
    for (int i = 0; i < 20; ++i) {
        const auto turn = rate_.admit(now_);
        EXPECT_GE(turn, last);
        last = turn;
    }
    EXPECT_GT(last, now_ + seconds(1));
}

TEST_F(aws_send_rate, the_rate_grows_back_while_nobody_complains) {
    for (int i = 0; i < 3; ++i) {
        answer(100);
    }
    answer(100, true);
    const double shrunk = rate_.per_second();
    for (int i = 0; i < 30; ++i) {
        answer(100);
    }
    EXPECT_GT(rate_.per_second(), shrunk * 1.4);
}

TEST_F(aws_send_rate, the_rate_never_falls_to_nothing) {
    for (int i = 0; i < 100; ++i) {
        answer(1, true);
    }
    EXPECT_GE(rate_.per_second(), 0.5);
}

}  // namespace
}  // namespace hearth::aws
