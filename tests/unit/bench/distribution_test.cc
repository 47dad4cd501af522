#include "bench/load/distribution.h"

#include <filesystem>

#include <gtest/gtest.h>

namespace hearth::bench {
namespace {

TEST(distribution, a_share_belongs_to_the_first_value_that_reaches_it) {
    const auto made = distribution::parse("0,0.25\n10, 0.5\r\n20,1\n");
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->size(), 3U);
    EXPECT_EQ(made->at_share(0), 0);
    EXPECT_EQ(made->at_share(0.25), 0);
    EXPECT_EQ(made->at_share(0.26), 10);
    EXPECT_EQ(made->at_share(0.5), 10);
    EXPECT_EQ(made->at_share(0.51), 20);
    EXPECT_EQ(made->at_share(1), 20);
}

TEST(distribution, the_last_value_stands_for_what_was_cut_off) {
    const auto made = distribution::parse("1,0.5\n2,0.9\n");
    ASSERT_TRUE(made);
    EXPECT_EQ(made->at_share(0.99), 2);
}

TEST(distribution, what_is_drawn_is_as_frequent_as_its_share) {
    const auto made = distribution::parse("1,0.2\n2,0.3\n3,1\n");
    ASSERT_TRUE(made);
    random_source random(1);
    constexpr int draws = 100'000;
    int ones = 0;
    for (int i = 0; i < draws; ++i) {
        ones += made->draw(random) == 1 ? 1 : 0;
    }
    // Five standard deviations of a binomial distribution are below 700.
    EXPECT_NEAR(ones, draws / 5, 700);
}

TEST(distribution, what_is_none_is_refused_with_its_line) {
    for (const char* text : {"", "\n\n", "1\n", "a,0.5\n", "1,b\n", "1,0.5\n0,0.6\n",
                             "1,0.5\n2,0.4\n", "1,1.1\n", "1,nan\n", "1,0\n", "1,0.5x\n"}) {
        EXPECT_FALSE(distribution::parse(text)) << text;
    }
    EXPECT_EQ(distribution::parse("1,0.5\n0,0.6\n").error().message,
              "line 2: values and shares must rise, shares to 1");
}

TEST(distribution, a_file_that_is_missing_is_named) {
    const auto made = traces::read("/nonexistent");
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().message.find("/nonexistent/serverlessbench-execTimeCDF.csv"),
              std::string::npos);
}

// The measured files themselves lie outside the project.
TEST(distribution, the_measured_traces_can_be_read) {
    const auto folder =
        std::filesystem::path(__FILE__).parent_path() / "../../../../shared/data/traces";
    if (!std::filesystem::exists(folder)) {
        GTEST_SKIP() << "NOT RUN: the traces are absent";
    }
    const auto made = traces::read(folder);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->execution_ms.at_share(0.03), 0);
    EXPECT_EQ(made->calls_of_a_day.at_share(0.2), 2);
}

}  // namespace
}  // namespace hearth::bench
