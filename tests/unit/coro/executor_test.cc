#include "coro/executor.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coro/event.h"
#include "coro/yield.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;
using testing::HasSubstr;

task<> yield_and_note(std::vector<int>& order, int name, int rounds) {
    for (int i = 0; i < rounds; ++i) {
        order.push_back(name);
        co_await yield();
    }
}

TEST(executor, resumes_in_the_order_of_posting_and_takes_turns) {
    test_executor loop;
    std::vector<int> order;
    scope tasks;
    tasks.spawn(yield_and_note(order, 1, 3));
    tasks.spawn(yield_and_note(order, 2, 2));
    loop.run(tasks.join());
    EXPECT_EQ(order, (std::vector{1, 2, 1, 2, 1}));
}

TEST(executor, run_ready_resumes_no_more_than_its_limit) {
    test_executor loop;
    std::vector<int> order;
    scope tasks;
    for (int i = 0; i < 10; ++i) {
        tasks.spawn(yield_and_note(order, i, 1));
    }
    EXPECT_TRUE(loop.run_ready(4));
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
    const auto resumed = loop.resumed_count();
    EXPECT_TRUE(loop.run_ready(6));
    EXPECT_EQ(loop.resumed_count(), resumed + 6);
    EXPECT_EQ(order.size(), 10U);
    loop.run(tasks.join());
}

TEST(executor, is_known_to_its_own_thread_alone) {
    EXPECT_EQ(executor::current(), nullptr);
    test_executor loop;
    EXPECT_EQ(executor::current(), &loop);
    std::thread([] { EXPECT_EQ(executor::current(), nullptr); }).join();
}

class countdown final : public remote_work {
public:
    countdown(int& left, event& done, const executor& home) noexcept
        : left_(left), done_(done), home_(home) {}
    void run() noexcept override {
        EXPECT_EQ(executor::current(), &home_);
        if (--left_ == 0) {
            done_.set();
        }
    }

private:
    int& left_;  // without a lock: run() is on the executor's thread only
    event& done_;
    const executor& home_;
};

TEST(executor, runs_all_that_many_threads_post_on_its_own_thread) {
    constexpr int thread_count = 8;
    constexpr int posts_each = 5000;
    test_executor loop;
    event done;
    int left = thread_count * posts_each;
    std::vector<std::vector<std::unique_ptr<countdown>>> work(thread_count);
    std::vector<std::jthread> threads;
    for (auto& mine : work) {
        for (int i = 0; i < posts_each; ++i) {
            mine.push_back(std::make_unique<countdown>(left, done, loop));
        }
        threads.emplace_back([&loop, &mine] {
            for (auto& each : mine) {
                loop.post_remote(*each);
            }
        });
    }
    EXPECT_TRUE(loop.run(done.wait(test::soon())));
    EXPECT_EQ(left, 0);
}

task<> innermost(event& go) {
    std::ignore = co_await go.wait();
}
task<> outermost(event& go) {
    co_await innermost(go);
}

TEST(executor, dump_shows_the_nested_suspended_tasks_with_file_and_line) {
    test_executor loop;
    event go;
    scope tasks;
    const int spawn_line = __LINE__ + 1;
    tasks.spawn(outermost(go));
    loop.run_ready_tasks();
    const std::string dump = loop.dump_tasks();
    EXPECT_THAT(dump, HasSubstr("outermost"));
    EXPECT_THAT(dump, HasSubstr("innermost"));
    EXPECT_THAT(dump, HasSubstr("executor_test.cc:" + std::to_string(spawn_line)));
    // One line a task, deeper ones further in.
    EXPECT_THAT(dump, testing::ContainsRegex("\n  [^ ].*outermost.*executor_test.cc:[1-9]"));
    EXPECT_THAT(dump, testing::ContainsRegex("\n    [^ ].*innermost.*executor_test.cc:[1-9]"));
    EXPECT_THAT(dump, testing::ContainsRegex("\n      [^ ].*event.h:[1-9]"));
    go.set();
    loop.run(tasks.join());
    EXPECT_EQ(loop.dump_tasks(), "");
}

}  // namespace
}  // namespace hearth
