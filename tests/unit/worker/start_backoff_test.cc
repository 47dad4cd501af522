#include "worker/start_backoff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::worker {
namespace {

using ::testing::HasSubstr;

const steady_time start = steady_time(seconds(1000));

start_backoff failed_times(std::uint32_t count) {
    start_backoff backoff;
    for (std::uint32_t i = 0; i < count; ++i) {
        backoff.failed(start, "Runtime.ImportModuleError: no module");
    }
    return backoff;
}

TEST(start_backoff, the_first_failures_cost_nobody_a_wait) {
    const auto backoff = failed_times(start_backoff::failures_free - 1);
    EXPECT_FALSE(backoff.must_wait(start));
    EXPECT_FALSE(backoff.is_probing());
}

TEST(start_backoff, the_pause_doubles_with_each_failure_up_to_a_limit) {
    auto pause = start_backoff::pause_first;
    for (std::uint32_t i = 0; i < 60; ++i) {
        const auto backoff = failed_times(start_backoff::failures_free + i);
        EXPECT_EQ(backoff.wait_left(start), pause);
        EXPECT_TRUE(backoff.must_wait(start + pause - milliseconds(1)));
        EXPECT_FALSE(backoff.must_wait(start + pause));
        EXPECT_TRUE(backoff.is_probing());
        pause = std::min(pause * 2, start_backoff::pause_max);
    }
}

TEST(start_backoff, a_success_ends_it) {
    auto backoff = failed_times(20);
    backoff.succeeded();
    EXPECT_TRUE(backoff.is_clear());
    EXPECT_FALSE(backoff.must_wait(start));
}

TEST(start_backoff, callers_hear_how_often_why_and_when_to_come_back) {
    const auto backoff = failed_times(start_backoff::failures_free);
    const std::string text = backoff.message(start + milliseconds(1));
    EXPECT_THAT(text, HasSubstr("5 times in a row"));
    EXPECT_THAT(text, HasSubstr("no module"));
    EXPECT_THAT(text, HasSubstr("call again in 1 s"));
}

TEST(start_backoff, failures_are_forgotten_after_a_while) {
    const auto backoff = failed_times(3);
    EXPECT_FALSE(backoff.is_over(start + start_backoff::memory - milliseconds(1)));
    EXPECT_TRUE(backoff.is_over(start + start_backoff::memory));
}

}  // namespace
}  // namespace hearth::worker
