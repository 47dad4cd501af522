#include "coro/timers.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace hearth {
namespace {

class recording_timer final : public timer {
public:
    recording_timer(std::vector<int>& fired, int name) : fired_(fired), name_(name) {}

private:
    void on_timer() noexcept override { fired_.push_back(name_); }
    std::vector<int>& fired_;
    int name_;
};

// Any point of the clock will do: the queue only compares.
deadline at(int ms) {
    return deadline(milliseconds(1'000'000 + ms));
}

TEST(timers, expire_earliest_first_and_only_what_is_due) {
    timer_queue queue;
    std::vector<int> fired;
    recording_timer late(fired, 30);
    recording_timer early(fired, 10);
    recording_timer middle(fired, 20);
    queue.arm(late, at(30));
    queue.arm(early, at(10));
    queue.arm(middle, at(20));
    EXPECT_EQ(queue.next_due(), at(10));
    EXPECT_EQ(queue.expire(at(9)), 0U);
    EXPECT_EQ(queue.expire(at(20)), 2U);
    EXPECT_EQ(fired, (std::vector{10, 20}));
    EXPECT_FALSE(early.armed());
    EXPECT_TRUE(late.armed());
    late.disarm();
    EXPECT_EQ(queue.next_due(), never);
}

TEST(timers, arming_again_moves_a_timer) {
    timer_queue queue;
    std::vector<int> fired;
    recording_timer one(fired, 1);
    queue.arm(one, at(10));
    queue.arm(one, at(50));
    EXPECT_EQ(queue.size(), 1U);
    EXPECT_EQ(queue.expire(at(20)), 0U);
    EXPECT_EQ(queue.expire(at(50)), 1U);
}

TEST(timers, never_leaves_a_timer_unarmed) {
    timer_queue queue;
    std::vector<int> fired;
    recording_timer one(fired, 1);
    queue.arm(one, at(10));
    queue.arm(one, never);
    EXPECT_FALSE(one.armed());
    EXPECT_EQ(queue.size(), 0U);
}

TEST(timers, a_timer_that_dies_is_disarmed) {
    timer_queue queue;
    std::vector<int> fired;
    {
        recording_timer one(fired, 1);
        queue.arm(one, at(1));
    }
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_EQ(queue.expire(at(5)), 0U);
}

// Disarms or arms another timer when it fires.
class acting_timer final : public timer {
public:
    acting_timer(timer_queue& queue, timer& other, deadline due)
        : queue_(queue), other_(other), due_(due) {}

private:
    void on_timer() noexcept override { queue_.arm(other_, due_); }
    timer_queue& queue_;
    timer& other_;
    deadline due_;
};

TEST(timers, a_timer_may_disarm_and_arm_others_when_it_fires) {
    timer_queue queue;
    std::vector<int> fired;
    recording_timer disarmed(fired, 1);
    recording_timer armed(fired, 2);
    acting_timer disarms(queue, disarmed, never);
    acting_timer arms(queue, armed, at(3));
    queue.arm(disarms, at(1));
    queue.arm(disarmed, at(2));
    queue.arm(arms, at(2));
    EXPECT_EQ(queue.expire(at(10)), 3U);
    EXPECT_EQ(fired, (std::vector{2}));
}

TEST(timers, behave_like_a_sorted_map_under_random_operations) {
    constexpr int timer_count = 200;
    constexpr int step_count = 200'000;
    std::mt19937 random(1);
    timer_queue queue;
    std::vector<int> fired;
    std::vector<std::unique_ptr<recording_timer>> timers;
    for (int i = 0; i < timer_count; ++i) {
        timers.push_back(std::make_unique<recording_timer>(fired, i));
    }
    std::map<int, int> due_of;  // the reference: due time of each armed timer
    int now = 0;
    for (int step = 0; step < step_count; ++step) {
        const int which = static_cast<int>(random() % timer_count);
        const unsigned action = random() % 8;
        if (action < 5) {
            const int due = now + static_cast<int>(random() % 100);
            queue.arm(*timers[static_cast<std::size_t>(which)], at(due));
            due_of[which] = due;
        } else if (action < 7) {
            timers[static_cast<std::size_t>(which)]->disarm();
            due_of.erase(which);
        } else {
            now += static_cast<int>(random() % 5);
            fired.clear();
            queue.expire(at(now));
            std::vector<int> fired_at;
            for (const int each : fired) {
                fired_at.push_back(due_of.at(each));
                due_of.erase(each);
            }
            ASSERT_TRUE(std::ranges::is_sorted(fired_at));
            ASSERT_TRUE(fired_at.empty() || fired_at.back() <= now);
        }
        ASSERT_EQ(queue.size(), due_of.size());
        const auto earliest =
            std::ranges::min_element(due_of, {}, [](const auto& each) { return each.second; });
        ASSERT_EQ(queue.next_due(), due_of.empty() ? never : at(earliest->second));
    }
    timers.clear();
}

TEST(timers_death, a_queue_destroyed_with_armed_timers_stops_the_process) {
    EXPECT_DEATH(
        {
            std::vector<int> fired;
            recording_timer one(fired, 1);
            timer_queue queue;
            queue.arm(one, at(1));
        },
        "armed timers");
}

}  // namespace
}  // namespace hearth
