#include "coro/stop.h"

#include <functional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace hearth {
namespace {

class recorder final : public stop_callback {
public:
    explicit recorder(std::function<void()> told) : told_(std::move(told)) {}
    void on_stop() noexcept override { told_(); }

private:
    std::function<void()> told_;
};

TEST(stop, tells_everybody_once_in_the_order_of_registration) {
    stop_source source;
    std::vector<int> told;
    recorder first([&] { told.push_back(1); });
    recorder second([&] { told.push_back(2); });
    source.add(first);
    source.add(second);
    source.request_stop();
    source.request_stop();
    EXPECT_EQ(told, (std::vector{1, 2}));
    EXPECT_TRUE(source.requested());
}

TEST(stop, reaches_children_and_grandchildren_but_not_the_parent) {
    stop_source parent;
    stop_source child(&parent);
    stop_source grandchild(&child);
    stop_source sibling(&parent);
    child.request_stop();
    EXPECT_TRUE(grandchild.requested());
    EXPECT_FALSE(parent.requested());
    EXPECT_FALSE(sibling.requested());
    parent.request_stop();
    EXPECT_TRUE(sibling.requested());
}

TEST(stop, a_child_of_a_stopped_parent_is_born_stopped) {
    stop_source parent;
    parent.request_stop();
    const stop_source child(&parent);
    EXPECT_TRUE(child.requested());
}

TEST(stop, a_child_may_die_before_its_parent_is_stopped) {
    stop_source parent;
    {
        const stop_source child(&parent);
    }
    parent.request_stop();
    EXPECT_TRUE(parent.requested());
}

TEST(stop, a_callback_may_unlink_those_not_yet_told) {
    stop_source source;
    int told = 0;
    recorder last([&] { ++told; });
    recorder middle([&] { ++told; });
    recorder first([&] {
        ++told;
        middle.unlink();
        last.unlink();
    });
    source.add(first);
    source.add(middle);
    source.add(last);
    source.request_stop();
    EXPECT_EQ(told, 1);
}

TEST(stop, registers_nothing_once_requested_even_from_inside_a_callback) {
    stop_source source;
    recorder late([] { ADD_FAILURE() << "told although it came after the request"; });
    recorder first([&] { source.add(late); });
    source.add(first);
    source.request_stop();
    EXPECT_FALSE(late.is_linked());
}

TEST(stop, a_callback_may_destroy_a_child_source) {
    stop_source parent;
    auto child = std::make_unique<stop_source>(&parent);
    stop_source front_parent;
    recorder first([&] { child.reset(); });
    front_parent.add(first);
    front_parent.request_stop();
    parent.request_stop();
    EXPECT_EQ(child, nullptr);
}

}  // namespace
}  // namespace hearth
