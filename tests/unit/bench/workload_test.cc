#include "bench/load/workload.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

namespace hearth::bench {
namespace {

TEST(picker, functions_take_turns) {
    const workload work{.repeated = {"a", "b"}, .weights = {}, .once = {}, .success = {}};
    picker one(work, 0, 1, 1);
    EXPECT_EQ(*one.next(), "a");
    EXPECT_EQ(*one.next(), "b");
    EXPECT_EQ(*one.next(), "a");
}

TEST(picker, first_calls_are_made_once_by_one_thread_each) {
    workload work;
    for (int i = 0; i < 10; ++i) {
        work.once.push_back(std::to_string(i));
    }
    work.once_share = 1;
    std::multiset<std::string> sent;
    for (unsigned thread = 0; thread < 3; ++thread) {
        picker one(work, thread, 3, 1);
        while (const std::string* next = one.next()) {
            sent.insert(*next);
        }
    }
    EXPECT_EQ(sent, std::multiset<std::string>(work.once.begin(), work.once.end()));
}

TEST(picker, first_calls_are_mixed_in_by_their_share_until_none_is_left) {
    const workload work{.repeated = {"warm"},
                        .weights = {},
                        .once = std::vector<std::string>(200, "cold"),
                        .once_share = 0.1,
                        .success = {}};
    picker one(work, 0, 1, 1);
    std::map<std::string, int> sent;
    for (int i = 0; i < 1000; ++i) {
        ++sent[*one.next()];
    }
    // Five standard deviations of a binomial distribution are below 50.
    EXPECT_NEAR(sent["cold"], 100, 50);
    for (int i = 0; i < 10'000; ++i) {
        ++sent[*one.next()];
    }
    EXPECT_EQ(sent["cold"], 200);
    EXPECT_EQ(sent["warm"], 10'800);
}

TEST(picker, functions_are_called_as_often_as_they_weigh) {
    const workload work{
        .repeated = {"a", "b", "never"}, .weights = {1, 3, 0}, .once = {}, .success = {}};
    picker one(work, 0, 1, 1);
    std::map<std::string, int> sent;
    for (int i = 0; i < 40'000; ++i) {
        ++sent[*one.next()];
    }
    // Five standard deviations of a binomial distribution are below 450.
    EXPECT_NEAR(sent["a"], 10'000, 450);
    EXPECT_EQ(sent["never"], 0);
}

}  // namespace
}  // namespace hearth::bench
