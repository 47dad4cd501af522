#include "coro/gate.h"

#include <gtest/gtest.h>

#include "coro/event.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

task<> pass_through(gate& through, event& go_on) {
    const gate::pass inside(through);
    std::ignore = co_await go_on.wait();
}

TEST(gate, waits_until_everybody_has_left) {
    test_executor loop;
    gate door;
    event first_goes;
    event second_goes;
    auto first = loop.start(pass_through(door, first_goes));
    auto second = loop.start(pass_through(door, second_goes));
    loop.run_ready_tasks();
    EXPECT_EQ(door.inside(), 2U);
    auto leaving = loop.start(door.all_left());
    first_goes.set();
    loop.run_ready_tasks();
    EXPECT_FALSE(leaving.done());
    leaving.stop();
    loop.run_ready_tasks();
    EXPECT_FALSE(leaving.done());
    second_goes.set();
    leaving.get();
    EXPECT_EQ(door.inside(), 0U);
}

TEST(gate, does_not_wait_when_nobody_is_inside) {
    test_executor loop;
    gate door;
    bool passed = false;
    loop.run([](gate& empty, bool& done) -> task<> {
        co_await empty.all_left();
        done = true;
    }(door, passed));
    EXPECT_TRUE(passed);
}

}  // namespace
}  // namespace hearth
