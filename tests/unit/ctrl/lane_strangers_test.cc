#include "ctrl/lane_strangers.h"

#include <vector>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "ctrl/log_throttle.h"

namespace hearth::ctrl {
namespace {

class lane_strangers_test : public ::testing::Test {
protected:
    std::shared_ptr<lane_strangers::stranger> enter(const std::string& origin) {
        auto made = all_.enter(origin);
        made->dismiss = [this, origin] {
            ended_.push_back(origin);
        };
        kept_.push_back(made);
        return made;
    }

    std::vector<std::string> ended_;
    lane_strangers all_;
    std::vector<std::shared_ptr<lane_strangers::stranger>> kept_;
};

TEST_F(lane_strangers_test, who_is_one_too_many_of_its_origin_takes_its_oldests_place) {
    const auto other = enter("10.0.0.2");
    for (std::size_t i = 0; i < lane_strangers::places_of_one_origin; ++i) {
        enter("10.0.0.1");
    }
    EXPECT_TRUE(ended_.empty());
    enter("10.0.0.1");
    EXPECT_EQ(ended_, std::vector<std::string>{"10.0.0.1"});
    EXPECT_TRUE(kept_[1]->dismissed()) << "the oldest of them";
    EXPECT_FALSE(other->dismissed());
    EXPECT_EQ(all_.size(), lane_strangers::places_of_one_origin + 1);
}

TEST_F(lane_strangers_test, with_all_places_taken_the_origin_with_most_loses_its_oldest) {
    const auto lone = enter("10.0.0.9");
    for (std::size_t i = 1; i < lane_strangers::places; ++i) {
        enter(concat("10.0.0.", i % 5));
    }
    EXPECT_TRUE(ended_.empty());
    for (int i = 0; i < 1'000; ++i) {
        enter(concat("10.0.0.", i % 5));
    }
    EXPECT_FALSE(lone->dismissed()) << "whoever floods crowds out itself";
    EXPECT_EQ(all_.size(), lane_strangers::places);
    EXPECT_EQ(all_.dismissed(), 1'000u);
    EXPECT_EQ(ended_.size(), 1'000u);
}

TEST_F(lane_strangers_test, among_origins_with_one_each_the_oldest_goes) {
    for (std::size_t i = 0; i <= lane_strangers::places; ++i) {
        enter(concat("10.0.", i / 256, ".", i % 256));
    }
    EXPECT_EQ(ended_, std::vector<std::string>{"10.0.0.0"});
}

TEST_F(lane_strangers_test, who_has_left_makes_room_and_is_not_dismissed) {
    const auto first = enter("a");
    all_.leave(*first);
    all_.leave(*first);  // again: nothing
    for (std::size_t i = 0; i < lane_strangers::places_of_one_origin; ++i) {
        enter("a");
    }
    EXPECT_TRUE(ended_.empty());
    enter("a");
    EXPECT_FALSE(first->dismissed());
    all_.leave(*kept_[1]);  // it was dismissed: its place is another's
    EXPECT_EQ(all_.size(), lane_strangers::places_of_one_origin);
}

TEST(log_throttle, lets_a_burst_through_and_then_one_line_in_an_interval) {
    log_throttle throttle;
    steady_time now = steady_time() + seconds(1'000);
    for (std::uint32_t i = 0; i < log_throttle::burst; ++i) {
        EXPECT_EQ(throttle.admit(now), 0u);
    }
    EXPECT_EQ(throttle.admit(now), std::nullopt);
    EXPECT_EQ(throttle.admit(now), std::nullopt);
    now += log_throttle::interval;
    EXPECT_EQ(throttle.admit(now), 2u);
    EXPECT_EQ(throttle.admit(now), std::nullopt);
    now += log_throttle::burst * log_throttle::interval;
    for (std::uint32_t i = 0; i < log_throttle::burst; ++i) {
        EXPECT_EQ(throttle.admit(now), i == 0 ? 1u : 0u);
    }
    EXPECT_EQ(throttle.admit(now), std::nullopt);
}

}  // namespace
}  // namespace hearth::ctrl
