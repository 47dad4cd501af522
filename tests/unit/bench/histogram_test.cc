#include "bench/load/histogram.h"

#include <cmath>

#include <gtest/gtest.h>

#include "bench/load/distribution.h"

namespace hearth::bench {
namespace {

constexpr std::uint64_t first_of_pairs = 256;  // from here on, two values share a bucket

TEST(histogram, an_empty_one_answers_zero_everywhere) {
    const histogram empty;
    EXPECT_EQ(empty.count(), 0U);
    EXPECT_EQ(empty.min(), 0U);
    EXPECT_EQ(empty.max(), 0U);
    EXPECT_EQ(empty.mean(), 0);
    EXPECT_EQ(empty.at_share(0.5), 0U);
    EXPECT_TRUE(empty.curve().empty());
}

TEST(histogram, small_values_are_exact) {
    for (std::uint64_t value = 0; value < first_of_pairs; ++value) {
        histogram one;
        one.add(value);
        one.add(first_of_pairs);
        EXPECT_EQ(one.at_share(0.5), value);
        EXPECT_EQ(one.count_to(value), 1U);
    }
}

TEST(histogram, neighbours_share_a_bucket_from_256_on) {
    histogram pair;
    pair.add(first_of_pairs);
    pair.add(first_of_pairs + 2);
    EXPECT_EQ(pair.at_share(0.5), first_of_pairs + 1);
    EXPECT_EQ(pair.count_to(first_of_pairs + 1), 1U);
    EXPECT_EQ(pair.count_to(first_of_pairs - 1), 0U);
}

TEST(histogram, a_value_is_known_to_within_its_relative_error) {
    for (double exact = 1; exact < static_cast<double>(histogram::value_max); exact *= 1.37) {
        const auto value = static_cast<std::uint64_t>(exact);
        histogram one;
        one.add(value);
        one.add(histogram::value_max);
        const auto found = static_cast<double>(one.at_share(0.5));
        EXPECT_GE(found, static_cast<double>(value));
        EXPECT_LE(found, static_cast<double>(value) * (1 + histogram::relative_error));
    }
}

TEST(histogram, a_value_beyond_the_bound_counts_as_the_bound) {
    histogram one;
    one.add(~std::uint64_t{0});
    EXPECT_EQ(one.max(), histogram::value_max);
    EXPECT_EQ(one.at_share(1), histogram::value_max);
}

TEST(histogram, shares_of_one_to_a_million_are_where_they_must_be) {
    constexpr std::uint64_t count = 1'000'000;
    histogram all;
    for (std::uint64_t value = 1; value <= count; ++value) {
        all.add(value);
    }
    EXPECT_EQ(all.min(), 1U);
    EXPECT_EQ(all.max(), count);
    EXPECT_DOUBLE_EQ(all.mean(), 500'000.5);
    // The ends of the buckets that hold 500,000, 990,000 and 999,000; by hand from the widths 2048
    // and 4096.
    EXPECT_EQ(all.at_share(0.5), 501'759U);
    EXPECT_EQ(all.at_share(0.99), 991'231U);
    EXPECT_EQ(all.at_share(0.999), 999'423U);
    EXPECT_EQ(all.at_share(1), count);
}

TEST(histogram, a_share_that_falls_on_a_value_is_that_value) {
    histogram ten;
    for (std::uint64_t value = 1; value <= 10; ++value) {
        ten.add(value);
    }
    EXPECT_EQ(ten.at_share(0), 1U);
    EXPECT_EQ(ten.at_share(0.1), 1U);
    EXPECT_EQ(ten.at_share(0.9), 9U);
    EXPECT_EQ(ten.at_share(0.91), 10U);
}

TEST(histogram, parts_add_up_to_the_whole) {
    random_source random(7);
    histogram whole;
    histogram odd;
    histogram even;
    for (int i = 0; i < 10'000; ++i) {
        const std::uint64_t value = random() >> (random() % 40 + 24);
        whole.add(value);
        (i % 2 == 0 ? even : odd).add(value);
    }
    odd.add(even);
    EXPECT_EQ(odd.count(), whole.count());
    EXPECT_EQ(odd.min(), whole.min());
    EXPECT_EQ(odd.max(), whole.max());
    for (double share = 0; share <= 1; share += 0.01) {
        EXPECT_EQ(odd.at_share(share), whole.at_share(share));
    }
}

TEST(histogram, a_curve_rises_from_the_smallest_to_the_largest_value) {
    histogram all;
    for (std::uint64_t value = 1; value <= 1000; ++value) {
        all.add(value);
    }
    const auto steps = all.curve(1);
    // 0, 1/2, 3/4 … as long as one value in 1000 is left, and the largest.
    ASSERT_EQ(steps.size(), 11U);
    EXPECT_EQ(steps.front().value, 1U);
    EXPECT_DOUBLE_EQ(steps[2].share, 0.75);
    EXPECT_EQ(steps.back().share, 1);
    EXPECT_EQ(steps.back().value, 1000U);
    for (std::size_t i = 1; i < steps.size(); ++i) {
        EXPECT_GT(steps[i].share, steps[i - 1].share);
        EXPECT_GE(steps[i].value, steps[i - 1].value);
    }
}

}  // namespace
}  // namespace hearth::bench
