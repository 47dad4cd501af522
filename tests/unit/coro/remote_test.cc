#include "coro/remote.h"

#include <future>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "coro/event.h"
#include "coro/yield.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

// A second event loop on a thread of its own, until this object dies.
class second_loop {
public:
    second_loop() : thread_([this] { serve(); }) {
        const parts made = ready_.get_future().get();
        loop = made.loop;
        tasks = made.tasks;
        quit_ = made.quit;
    }
    ~second_loop() {
        home_.run(run_on(*loop, *tasks, [this] { return stop(*quit_); }));
        thread_.join();
    }
    test_executor& home() { return home_; }

    test_executor* loop = nullptr;
    scope* tasks = nullptr;

private:
    struct parts {
        test_executor* loop;
        scope* tasks;
        event* quit;
    };
    static task<int> stop(event& quit) {
        quit.set();
        co_return 0;
    }
    void serve() {
        test_executor mine;
        scope remote;
        event quit;
        ready_.set_value({&mine, &remote, &quit});
        std::ignore = mine.run(quit.wait(test::soon()));
        mine.run(remote.join());
    }

    test_executor home_;
    std::promise<parts> ready_;
    event* quit_ = nullptr;
    std::thread thread_;
};

task<std::string> name_thread(std::thread::id& where, std::string text) {
    co_await yield();
    where = std::this_thread::get_id();
    co_return text + "!";
}

TEST(run_on, runs_on_the_targets_thread_and_returns_to_the_callers) {
    second_loop other;
    std::thread::id there;
    const auto text =
        other.home().run([](second_loop& target, std::thread::id& id) -> task<std::string> {
            auto got = co_await run_on(*target.loop, *target.tasks, [&id] {
                return name_thread(id, "across threads and back");
            });
            EXPECT_EQ(executor::current(), &target.home());
            co_return got;
        }(other, there));
    EXPECT_EQ(text, "across threads and back!");
    EXPECT_NE(there, std::this_thread::get_id());
}

TEST(run_on, many_calls_at_once_each_get_their_own_answer) {
    second_loop other;
    int sum = 0;
    scope callers;
    for (int i = 1; i <= 1000; ++i) {
        callers.spawn([](second_loop& target, int number, int& total) -> task<> {
            total += co_await run_on(*target.loop, *target.tasks, [number] {
                return [](int n) -> task<int> {
                    co_return n * 2;
                }(number);
            });
        }(other, i, sum));
    }
    other.home().run(callers.join());
    EXPECT_EQ(sum, 1000 * 1001);
}

TEST(run_on, its_own_thread_is_a_plain_await) {
    test_executor loop;
    scope tasks;
    std::thread::id here;
    const auto text =
        loop.run(run_on(loop, tasks, [&here] { return name_thread(here, "stayed"); }));
    EXPECT_EQ(text, "stayed!");
    EXPECT_EQ(here, std::this_thread::get_id());
}

}  // namespace
}  // namespace hearth
