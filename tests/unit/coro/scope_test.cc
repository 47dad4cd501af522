#include "coro/scope.h"

#include <vector>

#include <gtest/gtest.h>

#include "coro/event.h"
#include "coro/yield.h"
#include "tests/support/counted.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::counted;
using test::test_executor;

task<> add_later(int& sum, int value) {
    co_await yield();
    sum += value;
}
task<> wait_and_note(event& go, errc& outcome) {
    auto waited = co_await go.wait();
    outcome = waited ? errc::internal : waited.error().code;
}
task<> hold(counted, event& go) {
    std::ignore = co_await go.wait();
}

TEST(scope, starts_nothing_before_the_next_turn) {
    test_executor loop;
    int sum = 0;
    scope tasks;
    tasks.spawn(add_later(sum, 1));
    EXPECT_EQ(tasks.size(), 1U);
    EXPECT_EQ(sum, 0);
    loop.run(tasks.join());
    EXPECT_EQ(sum, 1);
}

TEST(scope, join_waits_for_all_including_those_spawned_meanwhile) {
    test_executor loop;
    int sum = 0;
    scope tasks;
    tasks.spawn([](scope& where, int& total) -> task<> {
        co_await yield();
        where.spawn(add_later(total, 10));
        total += 1;
    }(tasks, sum));
    loop.run(tasks.join());
    EXPECT_EQ(sum, 11);
    EXPECT_EQ(tasks.size(), 0U);
    loop.run(tasks.join());
}

TEST(scope, refuses_what_exceeds_its_limit_and_drops_it_unstarted) {
    test_executor loop;
    event go;
    counted::tally tally;
    scope tasks(nullptr, 2);
    EXPECT_TRUE(tasks.spawn(hold(counted(tally), go)));
    EXPECT_TRUE(tasks.spawn(hold(counted(tally), go)));
    EXPECT_FALSE(tasks.spawn(hold(counted(tally), go)));
    EXPECT_EQ(tally.alive, 2);
    go.set();
    loop.run(tasks.join());
    EXPECT_EQ(tally.alive, 0);
    EXPECT_TRUE(tasks.spawn(hold(counted(tally), go)));
    loop.run(tasks.join());
}

TEST(scope, stop_reaches_its_tasks_and_those_of_inner_scopes) {
    test_executor loop;
    event go;
    errc outer = errc::internal;
    errc inner = errc::internal;
    scope tasks;
    tasks.spawn(wait_and_note(go, outer));
    tasks.spawn([](event& never_set, errc& outcome) -> task<> {
        scope deeper(co_await current_stop());
        deeper.spawn(wait_and_note(never_set, outcome));
        co_await deeper.join();
    }(go, inner));
    loop.run_ready_tasks();
    tasks.request_stop();
    loop.run(tasks.join());
    EXPECT_EQ(outer, errc::cancelled);
    EXPECT_EQ(inner, errc::cancelled);
}

TEST(scope, a_task_spawned_after_stop_sees_it_at_once) {
    test_executor loop;
    event go;
    errc outcome = errc::internal;
    scope tasks;
    tasks.request_stop();
    EXPECT_TRUE(tasks.spawn(wait_and_note(go, outcome)));
    loop.run(tasks.join());
    EXPECT_EQ(outcome, errc::cancelled);
}

TEST(scope, join_is_not_cut_short_by_stop) {
    test_executor loop;
    wait_list list;
    scope tasks;
    tasks.spawn([](wait_list& where) -> task<> {
        std::ignore = co_await where.wait_unstoppable();
    }(list));
    auto joining = loop.start(tasks.join());
    loop.run_ready_tasks();
    joining.stop();
    tasks.request_stop();
    loop.run_ready_tasks();
    EXPECT_FALSE(joining.done());
    list.notify_one();
    joining.get();
    EXPECT_EQ(tasks.size(), 0U);
}

TEST(scope, destroys_a_finished_tasks_arguments_before_a_joiner_goes_on) {
    test_executor loop;
    counted::tally tally;
    event go;
    go.set();
    scope tasks;
    tasks.spawn(hold(counted(tally), go));
    loop.run(tasks.join());
    EXPECT_EQ(tally.alive, 0);
}

TEST(scope_death, destroyed_before_it_was_joined_stops_the_process) {
    EXPECT_DEATH(
        {
            test_executor loop;
            event go;
            errc outcome{};
            scope tasks;
            tasks.spawn(wait_and_note(go, outcome));
        },
        "before it was joined");
}

TEST(scope_death, cannot_be_made_outside_an_event_loop) {
    EXPECT_DEATH(const scope tasks, "outside an executor's thread");
}

}  // namespace
}  // namespace hearth
