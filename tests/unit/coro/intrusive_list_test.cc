#include "coro/intrusive_list.h"

#include <vector>

#include <gtest/gtest.h>

namespace hearth {
namespace {

struct element : list_hook<element> {
    explicit element(int n) : number(n) {}
    int number;
};

std::vector<int> numbers_in(intrusive_list<element>& list) {
    std::vector<int> numbers;
    list.for_each([&](element& each) { numbers.push_back(each.number); });
    return numbers;
}

TEST(intrusive_list, keeps_the_order_of_arrival) {
    intrusive_list<element> list;
    element one(1);
    element two(2);
    element three(3);
    list.push_back(one);
    list.push_back(two);
    list.push_back(three);
    EXPECT_EQ(numbers_in(list), (std::vector{1, 2, 3}));
    two.unlink();
    two.unlink();
    EXPECT_EQ(numbers_in(list), (std::vector{1, 3}));
    list.push_back(two);
    EXPECT_EQ(numbers_in(list), (std::vector{1, 3, 2}));
    list.for_each([](element& each) { each.unlink(); });
    EXPECT_TRUE(list.empty());
}

TEST(intrusive_list_death, an_element_that_dies_in_a_list_stops_the_process) {
    EXPECT_DEATH(
        {
            intrusive_list<element> list;
            element one(1);
            list.push_back(one);
        },
        "destroyed while linked");
}

TEST(intrusive_list_death, an_element_cannot_be_added_twice) {
    EXPECT_DEATH(
        {
            intrusive_list<element> list;
            element one(1);
            list.push_back(one);
            list.push_back(one);
        },
        "in a list already");
}

}  // namespace
}  // namespace hearth
