#include "coro/when_all.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "coro/event.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

task<int> wait_then(event& go, int value) {
    auto waited = co_await go.wait();
    co_return waited ? value : -1;
}
task<std::unique_ptr<std::string>> make_text(event& set_this) {
    set_this.set();
    co_return std::make_unique<std::string>("done");
}

TEST(when_all, runs_its_tasks_concurrently_and_returns_all_results_in_order) {
    test_executor loop;
    event go;  // the first task ends only because the second one runs meanwhile
    auto [number, text] = loop.run(when_all(wait_then(go, 5), make_text(go)));
    EXPECT_EQ(number, 5);
    EXPECT_EQ(*text, "done");
}

TEST(when_all, takes_a_number_known_only_at_run_time) {
    test_executor loop;
    event go;
    go.set();
    std::vector<task<int>> many;
    for (int i = 0; i < 100; ++i) {
        many.push_back(wait_then(go, i));
    }
    const auto results = loop.run(when_all(std::move(many)));
    ASSERT_EQ(results.size(), 100U);
    EXPECT_EQ(results[0], 0);
    EXPECT_EQ(results[99], 99);
    EXPECT_TRUE(loop.run(when_all(std::vector<task<int>>())).empty());
}

TEST(when_all, the_callers_stop_reaches_every_task) {
    test_executor loop;
    event never_set;
    auto both = loop.start(when_all(wait_then(never_set, 1), wait_then(never_set, 2)));
    loop.run_ready_tasks();
    both.stop();
    EXPECT_EQ(both.get(), std::tuple(-1, -1));
}

}  // namespace
}  // namespace hearth
