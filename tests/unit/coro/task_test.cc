#include "coro/task.h"

#include <memory>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "coro/frame_pool.h"
#include "coro/wait_list.h"
#include "tests/support/counted.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::counted;
using test::test_executor;

task<int> set_and_return(bool& started, int value) {
    started = true;
    co_return value;
}

task<int> keep_argument(counted argument) {
    co_return argument.value();
}

task<> hold_argument(counted, wait_list& gate) {
    std::ignore = co_await gate.wait();
}

TEST(task, does_not_start_until_it_is_awaited) {
    test_executor loop;
    bool started = false;
    auto work = set_and_return(started, 7);
    EXPECT_FALSE(started);
    EXPECT_EQ(loop.run(std::move(work)), 7);
    EXPECT_TRUE(started);
}

TEST(task, destroyed_unstarted_destroys_its_captured_arguments) {
    counted::tally tally;
    {
        const auto never_started = keep_argument(counted(tally));
        EXPECT_EQ(tally.alive, 1);
    }
    EXPECT_EQ(tally.alive, 0);
    EXPECT_EQ(tally.copies, 0);
}

TEST(task, moving_it_moves_the_coroutine_and_not_its_frame) {
    test_executor loop;
    counted::tally tally;
    auto first = keep_argument(counted(tally, 5));
    const int moves = tally.moves;
    auto second = std::move(first);
    auto third = keep_argument(counted(tally, 6));
    third = std::move(second);
    EXPECT_EQ(loop.run(std::move(third)), 5);
    EXPECT_LE(tally.moves, moves + 1);  // the argument of the other coroutine
}

TEST(task, destroys_its_arguments_when_it_has_been_awaited) {
    test_executor loop;
    counted::tally tally;
    loop.run([](counted::tally& where) -> task<> {
        EXPECT_EQ(co_await keep_argument(counted(where, 3)), 3);
        EXPECT_EQ(where.alive, 0);
    }(tally));
}

TEST(task, keeps_its_arguments_while_it_is_suspended) {
    test_executor loop;
    counted::tally tally;
    wait_list gate;
    auto pending = loop.start(hold_argument(counted(tally), gate));
    loop.run_ready_tasks();
    EXPECT_EQ(tally.alive, 1);
    gate.notify_all();
    pending.get();
    EXPECT_EQ(tally.alive, 0);
}

TEST(task, hands_its_result_over_without_a_copy) {
    test_executor loop;
    counted::tally tally;
    loop.run([](counted::tally& where) -> task<> {
        auto make = [](counted::tally& tally_of) -> task<counted> {
            co_return counted(tally_of, 9);
        };
        const counted received = co_await make(where);
        EXPECT_EQ(received.value(), 9);
        EXPECT_EQ(where.copies, 0);
        EXPECT_EQ(where.alive, 1);
    }(tally));
    EXPECT_EQ(tally.alive, 0);
}

TEST(task, returns_move_only_results) {
    test_executor loop;
    auto made = loop.run([]() -> task<std::unique_ptr<std::string>> {
        co_return std::make_unique<std::string>("only one");
    }());
    EXPECT_EQ(*made, "only one");
}

task<int> depth_of(int levels) {
    if (levels == 0) {
        co_return 0;
    }
    co_return 1 + co_await depth_of(levels - 1);
}

TEST(task, nests_a_million_deep_without_growing_the_stack) {
    test_executor loop;
    EXPECT_EQ(loop.run(depth_of(1'000'000)), 1'000'000);
}

TEST(task, awaits_a_million_finished_tasks_in_a_row_without_growing_the_stack) {
    test_executor loop;
    const auto before = this_thread_frames().live;
    const int sum = loop.run([]() -> task<int> {
        int total = 0;
        bool started = false;
        for (int i = 0; i < 1'000'000; ++i) {
            total += co_await set_and_return(started, 1);
        }
        co_return total;
    }());
    EXPECT_EQ(sum, 1'000'000);
    EXPECT_EQ(this_thread_frames().live, before);
}

task<stop_source*> stop_seen_two_levels_down() {
    co_return co_await [](int) -> task<stop_source*> {
        co_return co_await current_stop();
    }(0);
}

TEST(task, inherits_the_stop_of_whoever_awaits_it) {
    test_executor loop;
    loop.run([]() -> task<> {
        scope inner(co_await current_stop());
        stop_source* seen = nullptr;
        inner.spawn([](stop_source*& out) -> task<> {
            out = co_await stop_seen_two_levels_down();
        }(seen));
        co_await inner.join();
        EXPECT_EQ(seen, &inner.stop());
        EXPECT_NE(seen, co_await current_stop());
    }());
}

TEST(task_death, an_exception_in_a_task_stops_the_process_and_is_named) {
    EXPECT_DEATH(
        {
            test_executor loop;
            loop.run([]() -> task<> {
                throw std::runtime_error("thrown on a data path");
                co_return;
            }());
        },
        "thrown on a data path");
}

TEST(task_death, awaiting_an_empty_task_stops_the_process) {
    EXPECT_DEATH(
        {
            test_executor loop;
            loop.run([]() -> task<> {
                bool started = false;
                auto work = set_and_return(started, 1);
                auto taken = std::move(work);
                std::ignore = co_await std::move(work);  // NOLINT(bugprone-use-after-move)
            }());
        },
        "awaiting an empty task");
}

}  // namespace
}  // namespace hearth
