// What compilers have been seen to get wrong in coroutines: temporaries destroyed twice or not at
// all, branches skipped, values lost over a suspension. These hold on a compiler that may build
// Hearth.

#include <array>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "coro/task.h"
#include "coro/yield.h"
#include "tests/support/counted.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::counted;
using test::test_executor;

task<int> value_of(const counted& argument) {
    co_await yield();
    co_return argument.value();
}
task<counted> make_counted(counted::tally& tally, int value) {
    co_await yield();
    co_return counted(tally, value);
}
task<bool> answer(bool value) {
    co_await yield();
    co_return value;
}
task<std::string> text_of(std::string text) {
    co_await yield();
    co_return text;
}

class codegen : public testing::Test {
protected:
    void run(task<> (*body)(counted::tally&)) {
        loop_.run(body(tally_));
        EXPECT_EQ(tally_.alive, 0);
    }
    test_executor loop_;
    counted::tally tally_;
};

TEST_F(codegen, a_temporary_argument_lives_until_the_await_is_over) {
    run([](counted::tally& tally) -> task<> {
        EXPECT_EQ(co_await value_of(counted(tally, 4)), 4);
        EXPECT_EQ(tally.made, 1);
        EXPECT_EQ(tally.alive, 0);
    });
}

TEST_F(codegen, temporaries_of_several_awaits_in_one_expression_are_each_destroyed_once) {
    run([](counted::tally& tally) -> task<> {
        const int sum = co_await value_of(counted(tally, 1)) +
                        co_await value_of(counted(tally, 2)) * co_await value_of(counted(tally, 3));
        EXPECT_EQ(sum, 7);
        EXPECT_EQ(tally.made, 3);
        EXPECT_EQ(tally.alive, 0);
    });
}

TEST_F(codegen, the_conditional_operator_awaits_and_destroys_only_the_chosen_side) {
    run([](counted::tally& tally) -> task<> {
        for (const bool left : {true, false}) {
            const int made = tally.made;
            const int got = co_await answer(left) ? co_await value_of(counted(tally, 10))
                                                  : co_await value_of(counted(tally, 20));
            EXPECT_EQ(got, left ? 10 : 20);
            EXPECT_EQ(tally.made, made + 1);
            EXPECT_EQ(tally.alive, 0);
        }
    });
}

TEST_F(codegen, logical_operators_do_not_await_what_they_skip) {
    run([](counted::tally& tally) -> task<> {
        EXPECT_FALSE(co_await answer(false) && co_await value_of(counted(tally, 1)) == 1);
        EXPECT_TRUE(co_await answer(true) || co_await value_of(counted(tally, 1)) == 1);
        EXPECT_EQ(tally.made, 0);
        EXPECT_TRUE(co_await answer(true) && co_await value_of(counted(tally, 1)) == 1);
        EXPECT_EQ(tally.made, 1);
    });
}

TEST_F(codegen, an_awaited_result_can_be_the_argument_of_the_next_await) {
    run([](counted::tally& tally) -> task<> {
        EXPECT_EQ(co_await value_of(co_await make_counted(tally, 8)), 8);
        EXPECT_EQ(tally.alive, 0);
        EXPECT_EQ(tally.copies, 0);
    });
}

TEST_F(codegen, a_reference_bound_to_an_awaited_result_extends_its_life) {
    run([](counted::tally& tally) -> task<> {
        const counted& kept = co_await make_counted(tally, 6);
        co_await yield();
        EXPECT_EQ(kept.value(), 6);
        EXPECT_EQ(tally.alive, 1);
    });
}

TEST_F(codegen, an_await_in_an_if_initialiser_keeps_its_value_for_both_branches) {
    run([](counted::tally& tally) -> task<> {
        if (const counted made = co_await make_counted(tally, 1); made.value() == 2) {
            ADD_FAILURE();
        } else {
            co_await yield();
            EXPECT_EQ(made.value(), 1);
        }
        EXPECT_EQ(tally.alive, 0);
    });
}

TEST_F(codegen, an_await_in_a_loop_condition_runs_the_body_each_time) {
    run([](counted::tally& tally) -> task<> {
        int rounds = 0;
        while (co_await value_of(counted(tally, rounds)) < 5) {
            const counted local(tally);
            co_await yield();
            ++rounds;
        }
        EXPECT_EQ(rounds, 5);
        EXPECT_EQ(tally.alive, 0);
    });
}

TEST_F(codegen, leaving_a_loop_early_destroys_its_locals) {
    run([](counted::tally& tally) -> task<> {
        for (int i = 0; i < 3; ++i) {
            const counted local(tally, i);
            if (co_await answer(i == 0)) {
                continue;
            }
            EXPECT_EQ(tally.alive, 1);
            break;
        }
        EXPECT_EQ(tally.alive, 0);
    });
}

TEST_F(codegen, arrays_and_strings_on_the_frame_survive_suspension) {
    run([](counted::tally&) -> task<> {
        std::array<int, 64> numbers{};
        numbers[63] = 63;
        const std::string small = "small";
        std::vector<std::string> parts;
        parts.reserve(3);
        for (int i = 0; i < 3; ++i) {
            parts.push_back(small + co_await text_of(std::string(40, 'x')));
        }
        co_await yield();
        EXPECT_EQ(numbers[63], 63);
        EXPECT_EQ(parts.at(2), "small" + std::string(40, 'x'));
    });
}

TEST_F(codegen, aggregates_made_of_awaited_values_are_complete) {
    struct pair_of {
        std::string name;
        std::unique_ptr<int> number;
    };
    run([](counted::tally& tally) -> task<> {
        const pair_of made{.name = co_await text_of("a name that is not stored inline"),
                           .number = std::make_unique<int>(co_await value_of(counted(tally, 3)))};
        EXPECT_EQ(made.name, "a name that is not stored inline");
        EXPECT_EQ(*made.number, 3);
        const auto [first, second] = std::tuple(co_await text_of("one"), co_await text_of("two"));
        EXPECT_EQ(first + second, "onetwo");
    });
}

TEST_F(codegen, a_coroutine_that_returns_before_its_first_await_destroys_everything) {
    run([](counted::tally& tally) -> task<> {
        auto early = [](counted argument, bool leave) -> task<int> {
            const counted local(argument);  // NOLINT(performance-unnecessary-copy-initialization)
            if (leave) {
                co_return argument.value();
            }
            co_await yield();
            co_return -1;
        };
        EXPECT_EQ(co_await early(counted(tally, 2), true), 2);
        EXPECT_EQ(co_await early(counted(tally, 2), false), -1);
        EXPECT_EQ(tally.alive, 0);
    });
}

}  // namespace
}  // namespace hearth
