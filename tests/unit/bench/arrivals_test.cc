#include "bench/load/arrivals.h"

#include <gtest/gtest.h>

namespace hearth::bench {
namespace {

constexpr steady_time start{};
constexpr steady_time end = start + seconds(1);

TEST(arrivals, even_ones_are_a_period_apart_and_end_before_the_end) {
    arrivals due(arrivals::spacing::even, 4, start, end, 1);
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(due.next(), start + milliseconds(250) * i);
    }
    EXPECT_FALSE(due.next());
    EXPECT_EQ(due.taken(), 4U);
}

TEST(arrivals, even_ones_do_not_drift) {
    constexpr double rate = 3;  // no whole number of nanoseconds
    arrivals due(arrivals::spacing::even, rate, start, start + seconds(3'000), 1);
    steady_time last;
    while (const auto next = due.next()) {
        last = *next;
    }
    EXPECT_EQ(due.taken(), 9'000U);
    EXPECT_LT(start + seconds(3'000) - last, milliseconds(334));
}

TEST(arrivals, random_ones_come_at_the_rate_and_repeat_with_their_seed) {
    constexpr double rate = 100'000;
    arrivals one(arrivals::spacing::exponential, rate, start, end, 5);
    arrivals same(arrivals::spacing::exponential, rate, start, end, 5);
    steady_time last = start;
    while (const auto next = one.next()) {
        EXPECT_GE(*next, last);
        last = *next;
        EXPECT_EQ(same.next(), next);
    }
    // Five standard deviations of a Poisson distribution are below 1600.
    EXPECT_NEAR(static_cast<double>(one.taken()), rate, 1600);
}

TEST(arrivals, what_was_not_sent_is_counted) {
    arrivals due(arrivals::spacing::even, 10, start, end, 1);
    ASSERT_TRUE(due.next());
    EXPECT_EQ(due.drop_rest(), 9U);
    EXPECT_EQ(due.drop_rest(), 0U);
}

}  // namespace
}  // namespace hearth::bench
