#include "worker/growth.h"

#include <gtest/gtest.h>

namespace hearth::worker {
namespace {

struct growth_case {
    const char* rule;
    growth_state now;
    std::size_t started;
};

class growth : public ::testing::TestWithParam<growth_case> {};

TEST_P(growth, starts_as_many_as_the_rule_says) {
    EXPECT_EQ(sandboxes_to_start(GetParam().now), GetParam().started) << GetParam().rule;
}

// Fields in order: waiting, running, starting, service_ms, longest_running_ms, start_ms,
// pressed_ms, processors.
INSTANTIATE_TEST_SUITE_P(
    all, growth,
    ::testing::Values(
        growth_case{"nobody waits: none", {0, 3, 0, 1000, 1000, 25}, 0},
        growth_case{"the first call starts one", {1, 0, 0, 0, 0, 25}, 1},
        growth_case{"without any sandbox one, however many wait", {100, 0, 0, 50, 0, 25}, 1},
        growth_case{"a burst of first calls shares the one that starts", {100, 0, 1, 0, 0, 25}, 0},
        growth_case{"a fast function's queue is served before a start would be over",
                    {20, 1, 0, 1, 0, 25},
                    0},
        growth_case{
            "exactly one start's time of work is not worth a start", {25, 1, 0, 1, 0, 25}, 0},
        growth_case{"just above it is worth one", {26, 1, 0, 1, 0, 25}, 1},
        growth_case{"a slow function gets one per waiting call", {4, 1, 0, 500, 0, 25}, 4},
        growth_case{"those on their way count", {4, 1, 3, 500, 0, 25}, 1},
        growth_case{"never more than wait", {2, 1, 2, 5000, 0, 25}, 0},
        growth_case{"a running call that is long already counts as slow", {3, 1, 0, 0, 100, 25}, 3},
        growth_case{"one long call outweighs a short mean", {3, 1, 0, 1, 100, 25}, 3},
        growth_case{"no start was measured yet", {3, 1, 0, 10, 0, 0}, 3},
        growth_case{"a short line that never ends is worth one", {8, 1, 0, 0.1, 0, 25, 50, 2}, 1},
        growth_case{"one that ended meanwhile is not", {8, 1, 0, 0.1, 0, 25, 49, 2}, 0},
        growth_case{"one at a time", {8, 1, 1, 0.1, 0, 25, 50, 2}, 0},
        growth_case{"no more than the processors can use", {8, 4, 0, 0.1, 0, 25, 500, 2}, 0},
        growth_case{"half a queue's worth: the queue shortens to one start's time",
                    {100, 1, 0, 1, 0, 25},
                    3}));

}  // namespace
}  // namespace hearth::worker
