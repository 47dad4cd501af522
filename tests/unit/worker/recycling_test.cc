#include "worker/recycling.h"

#include <gtest/gtest.h>

namespace hearth::worker {
namespace {

TEST(recycling, growth_is_measured_from_the_first_call_and_not_from_nothing) {
    EXPECT_FALSE(has_grown_too_far(100, 100, 128)) << "a large function that does not grow";
    EXPECT_FALSE(has_grown_too_far(100, 121, 128));
    EXPECT_TRUE(has_grown_too_far(100, 122, 128));
    EXPECT_FALSE(has_grown_too_far(0, 96, 128));
    EXPECT_TRUE(has_grown_too_far(0, 97, 128));
    EXPECT_FALSE(has_grown_too_far(50, 10, 128)) << "it shrank";
    EXPECT_FALSE(has_grown_too_far(128, 200, 128)) << "it was there from the start";
}

TEST(recycling, what_the_host_does_not_show_counts_as_no_growth) {
    EXPECT_FALSE(have_grown_too_far({}, {}, most_of(128)));
}

TEST(recycling, each_holding_counts_on_its_own) {
    const holdings first{.memory_bytes = 10U << 20, .open_files = 10, .tasks = 2};
    const auto with = [&](auto member, std::uint64_t value) {
        holdings now = first;
        now.*member = value;
        return have_grown_too_far(first, now, most_of(128));
    };
    EXPECT_TRUE(with(&holdings::memory_bytes, 120U << 20));
    EXPECT_TRUE(with(&holdings::open_files, 1000));
    EXPECT_TRUE(with(&holdings::tasks, 64));
    EXPECT_FALSE(with(&holdings::tasks, 20));
}

TEST(recycling, the_first_call_is_looked_at_and_then_one_in_a_hundred) {
    EXPECT_TRUE(is_due_for_a_look(1));
    EXPECT_FALSE(is_due_for_a_look(2));
    EXPECT_FALSE(is_due_for_a_look(99));
    EXPECT_TRUE(is_due_for_a_look(100));
}

TEST(recycling, cpu_follows_memory_as_on_lambda_above_the_floor) {
    EXPECT_EQ(cpu_millis_of(1769, 10), 1000u);
    EXPECT_EQ(cpu_millis_of(3538, 10), 2000u);
    EXPECT_EQ(cpu_millis_of(10'240, 10), 5788u);
    EXPECT_EQ(cpu_millis_of(128, 10), 72u);
    EXPECT_EQ(cpu_millis_of(128, 1000), 1000u);
    EXPECT_EQ(cpu_millis_of(3538, 1000), 2000u);
}

}  // namespace
}  // namespace hearth::worker
