#include "bench/load/server_metrics.h"

#include <gtest/gtest.h>

namespace hearth::bench {
namespace {

constexpr const char* text = R"(# HELP calls Calls
# TYPE calls counter
calls{status="ok",path="/a b"} 3
calls{status="bad"} 1
up 1
seconds_count{route="/run"} 4
seconds_sum{route="/run"} 0.010
seconds_bucket{route="/run",le="0.001"} 1
seconds_bucket{route="/run",le="0.002"} 3
seconds_bucket{route="/run",le="+Inf"} 4
seconds_count{route="/x"} 1
seconds_sum{route="/x"} 1
seconds_bucket{route="/x",le="0.001"} 0
seconds_bucket{route="/x",le="0.002"} 0
seconds_bucket{route="/x",le="+Inf"} 1
not a line
)";

TEST(server_metrics, values_are_added_over_the_series_that_are_asked_for) {
    const server_metrics all(text);
    EXPECT_EQ(all.value("calls"), 4);
    EXPECT_EQ(all.value("calls", "status=\"ok\""), 3);
    EXPECT_EQ(all.value("up"), 1);
    EXPECT_EQ(all.value("absent"), 0);
}

TEST(server_metrics, a_histogram_is_read_with_its_shares) {
    const stage run = server_metrics(text).histogram("seconds", "route=\"/run\"");
    EXPECT_EQ(run.count, 4);
    EXPECT_DOUBLE_EQ(run.mean_s(), 0.0025);
    EXPECT_DOUBLE_EQ(run.at_share(0.25), 0.001);
    EXPECT_DOUBLE_EQ(run.at_share(0.5), 0.0015);
    EXPECT_DOUBLE_EQ(run.at_share(0.75), 0.002);
    EXPECT_DOUBLE_EQ(run.at_share(0.99), 0.002);  // above the last bound: at least that
    EXPECT_EQ(server_metrics(text).histogram("seconds").count, 5);
}

TEST(server_metrics, what_passed_between_two_readings_is_their_difference) {
    const stage later = server_metrics(text).histogram("seconds", "route=\"/run\"");
    const stage earlier{.count = 1, .sum_s = 0.001, .up_to = {{0.001, 1}, {0.002, 1}}};
    const stage passed = difference(later, earlier);
    EXPECT_EQ(passed.count, 3);
    EXPECT_DOUBLE_EQ(passed.mean_s(), 0.003);
    EXPECT_EQ(passed.up_to.at(0.001), 0);
    EXPECT_EQ(passed.up_to.at(0.002), 2);
    EXPECT_EQ(difference(later, later).at_share(0.5), 0);
    EXPECT_EQ(stage{}.mean_s(), 0);
}

}  // namespace
}  // namespace hearth::bench
