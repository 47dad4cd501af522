#include "worker/sandbox_state.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::worker {
namespace {

constexpr std::size_t state_count = static_cast<std::size_t>(sandbox_state::gone) + 1;

// Rows of the table "| from | to | when |" in docs/sandbox.md.
std::set<std::string> documented() {
    std::ifstream page(HEARTH_SOURCE_DIR "/docs/sandbox.md");
    std::set<std::string> rows;
    bool inside = false;
    for (std::string line; std::getline(page, line);) {
        if (line == "| from | to | when |") {
            inside = true;
        } else if (inside && line.empty()) {
            return rows;
        } else if (inside && !line.starts_with("|---")) {
            rows.insert(line);
        }
    }
    return rows;
}

TEST(sandbox_state, the_page_has_each_transition_and_no_other) {
    std::set<std::string> coded;
    for (const sandbox_transition& each : sandbox_transitions) {
        coded.insert(
            concat("| ", to_string(each.from), " | ", to_string(each.to), " | ", each.when, " |"));
    }
    EXPECT_EQ(documented(), coded);
}

TEST(sandbox_state, every_state_is_reached_and_all_but_the_last_are_left) {
    for (std::size_t i = 0; i < state_count; ++i) {
        const auto state = static_cast<sandbox_state>(i);
        bool reached = state == sandbox_state::starting;
        bool left = state == sandbox_state::gone;
        for (const sandbox_transition& each : sandbox_transitions) {
            reached = reached || each.to == state;
            left = left || each.from == state;
        }
        EXPECT_TRUE(reached) << to_string(state);
        EXPECT_TRUE(left) << to_string(state);
    }
}

TEST(sandbox_state, what_ends_never_serves_again) {
    for (std::size_t i = 0; i < state_count; ++i) {
        const auto state = static_cast<sandbox_state>(i);
        EXPECT_EQ(may_become(sandbox_state::ending, state), state == sandbox_state::gone);
        EXPECT_FALSE(may_become(sandbox_state::gone, state));
    }
}

TEST(sandbox_state, a_call_begins_in_an_idle_sandbox_alone) {
    for (std::size_t i = 0; i < state_count; ++i) {
        const auto state = static_cast<sandbox_state>(i);
        EXPECT_EQ(may_become(state, sandbox_state::running),
                  state == sandbox_state::idle || state == sandbox_state::frozen);
    }
}

TEST(sandbox_state_death_test, a_transition_that_is_not_in_the_table_stops_the_process) {
    sandbox_life life;
    life.become(sandbox_state::idle);
    life.become(sandbox_state::running);
    EXPECT_DEATH(life.become(sandbox_state::running), "states are not in order");
    EXPECT_DEATH(life.become(sandbox_state::frozen), "states are not in order");
}

}  // namespace
}  // namespace hearth::worker
