#include "redis/worker_census.h"

#include <gtest/gtest.h>

#include "base/concat.h"
#include "tests/port/redis_fixtures.h"

// Controllers that tell each other over one Redis which workers they have heard.

namespace hearth::test {
namespace {

class worker_census_test : public ::testing::Test, public redis_fixture {
protected:
    ~worker_census_test() override { end(); }

    std::int64_t told(redis::worker_census& controller,
                      const std::vector<faas::worker_sighting>& heard) {
        const auto count = loop().run(controller.exchange(heard, soon()));
        EXPECT_TRUE(count) << count.error().message;
        return count.value_or(-1);
    }
    static faas::worker_sighting seen(std::string id, milliseconds ago = milliseconds(0)) {
        return {.id = std::move(id), .ago = ago};
    }
    static faas::worker_sighting leaving(std::string id, milliseconds ago = milliseconds(0)) {
        return {.id = std::move(id), .ago = ago, .leaving = true};
    }

    redis::worker_census one_{client(), {}};
    redis::worker_census other_{client(), {}};
};

TEST_F(worker_census_test, every_controller_counts_the_workers_of_all) {
    EXPECT_EQ(told(one_, {seen("a"), seen("b")}), 2);
    EXPECT_EQ(told(other_, {seen("c")}), 3);
    EXPECT_EQ(told(one_, {seen("a"), seen("b")}), 3);
    EXPECT_EQ(told(other_, {}), 3);
}

TEST_F(worker_census_test, a_worker_that_two_have_heard_counts_once) {
    EXPECT_EQ(told(one_, {seen("a", milliseconds(20'000))}), 1);
    EXPECT_EQ(told(other_, {seen("a")}), 1);
}

TEST_F(worker_census_test, a_worker_that_nobody_has_heard_for_its_time_is_none) {
    EXPECT_EQ(told(one_, {seen("a", milliseconds(30'001)), seen("b", milliseconds(29'000))}), 1);
}

TEST_F(worker_census_test, who_heard_it_last_is_believed) {
    EXPECT_EQ(told(one_, {seen("a")}), 1);
    EXPECT_EQ(told(other_, {seen("a", milliseconds(40'000))}), 1);
}

TEST_F(worker_census_test, a_worker_that_leaves_is_none_whatever_another_heard_before) {
    EXPECT_EQ(told(one_, {seen("a", milliseconds(9'000)), seen("b")}), 2);
    EXPECT_EQ(told(other_, {leaving("a")}), 1);
    EXPECT_EQ(told(one_, {seen("a", milliseconds(9'500)), seen("b")}), 1);
}

TEST_F(worker_census_test, ten_thousand_workers_are_one_command) {
    std::vector<faas::worker_sighting> all;
    for (int i = 0; i < 10'000; ++i) {
        all.push_back(seen(concat("worker-01234567-0123-0123-0123-0123456789ab-", i)));
    }
    const auto before = client().counts().commands;
    EXPECT_EQ(told(one_, all), 10'000);
    EXPECT_EQ(client().counts().commands, before + 1);
}

TEST_F(worker_census_test, a_fleet_that_is_gone_leaves_no_key) {
    EXPECT_EQ(told(one_, {seen("a"), leaving("b")}), 1);
    for (const auto* key : {"hearth:workers", "hearth:workers:leaving"}) {
        const auto left = loop().run(client().call({"PTTL", key}, soon()));
        EXPECT_GT(left->get().integer(), 0) << key;
    }
}

}  // namespace
}  // namespace hearth::test
