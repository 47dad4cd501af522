#include "base/clock.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

TEST(clock, rfc_3339_is_utc_with_milliseconds) {
    EXPECT_EQ(format_rfc3339(0), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(format_rfc3339(1), "1970-01-01T00:00:00.001Z");
    EXPECT_EQ(format_rfc3339(951'782'399'999), "2000-02-28T23:59:59.999Z");
    EXPECT_EQ(format_rfc3339(951'782'400'000), "2000-02-29T00:00:00.000Z");
    EXPECT_EQ(format_rfc3339(1'769'903'999'123), "2026-01-31T23:59:59.123Z");
    EXPECT_EQ(format_rfc3339(4'102'444'800'000), "2100-01-01T00:00:00.000Z");
}

TEST(clock, times_before_1970_count_backwards_from_it) {
    EXPECT_EQ(format_rfc3339(-1), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(format_rfc3339(-1000), "1969-12-31T23:59:59.000Z");
    EXPECT_EQ(format_rfc3339(-86'400'000), "1969-12-31T00:00:00.000Z");
}

TEST(clock, never_is_later_than_every_deadline) {
    EXPECT_LT(after(seconds(1'000'000)), never);
    EXPECT_LE(steady_clock::now(), after(nanoseconds(0)));
}

TEST(clock, the_wall_clock_counts_milliseconds_since_1970) {
    EXPECT_GT(wall_clock_ms(), 1'700'000'000'000);
    EXPECT_LT(wall_clock_ms(), 10'000'000'000'000);
}

}  // namespace
}  // namespace hearth
