#include "ctrl/lane_scheduler.h"

#include <algorithm>
#include <deque>
#include <utility>

#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::ctrl {
namespace {

struct a_lane final : lane_scheduler::lane {};
struct a_call final : lane_scheduler::call {
    using call::call;
};

faas::function function_of(std::string id, std::int64_t revision = 1) {
    faas::function made;
    made.id = std::move(id);
    made.revision = revision;
    return made;
}

class lane_scheduler_test : public testing::Test {
protected:
    void TearDown() override {
        for (a_call& each : calls_) {
            if (each.is_linked()) {
                scheduler_.withdraw(each);
            }
        }
    }
    void open(a_lane& which, std::uint32_t window) {
        scheduler_.add(which);
        scheduler_.set_window(which, window);
    }
    a_call& wait(const std::string& id, std::int64_t revision = 1) {
        a_call& made = calls_.emplace_back(function_of(id, revision));
        EXPECT_TRUE(scheduler_.enqueue(made, now_));
        return made;
    }
    // The lane of the next call, which must be `expected`.
    lane_scheduler::lane* next(const a_call& expected) {
        const auto chosen = scheduler_.next(now_);
        if (!chosen) {
            return nullptr;
        }
        EXPECT_EQ(&chosen->what, &expected);
        return &chosen->where;
    }

    steady_time now_ = steady_time() + seconds(1'000);
    std::deque<a_call> calls_;
    lane_scheduler scheduler_{{.function_queue_max = 100, .queue_max = 150}};
};

TEST_F(lane_scheduler_test, a_call_waits_until_a_lane_has_a_credit) {
    a_lane one;
    scheduler_.add(one);
    auto& call = wait("f");
    EXPECT_EQ(next(call), nullptr);
    scheduler_.set_window(one, 1);
    EXPECT_EQ(next(call), &one);
    auto& second = wait("f");
    EXPECT_EQ(next(second), nullptr);
    scheduler_.ended(one, call);
    EXPECT_EQ(next(second), &one);
}

TEST_F(lane_scheduler_test, a_worker_with_the_revision_idle_goes_before_one_with_less_load) {
    a_lane cold;
    a_lane warm;
    open(cold, 8);
    open(warm, 8);
    scheduler_.set_warm(warm, "f", 2, 1);
    scheduler_.set_warm(warm, "g", 1, 1);
    auto& busy = wait("g");
    EXPECT_EQ(next(busy), &warm);
    auto& call = wait("f", 2);
    EXPECT_EQ(next(call), &warm);
    auto& without = wait("f", 2);  // its one idle sandbox is taken
    EXPECT_EQ(next(without), &cold);
}

TEST_F(lane_scheduler_test, a_sandbox_of_another_revision_is_of_no_use) {
    a_lane cold;
    a_lane warm;
    open(cold, 8);
    open(warm, 8);
    scheduler_.set_warm(warm, "f", 1, 4);
    auto& call = wait("f", 2);
    EXPECT_EQ(next(call), &cold);
    scheduler_.retire("f", 2);
    auto& old = wait("f", 1);
    EXPECT_EQ(next(old), &warm);  // the least loaded
}

TEST_F(lane_scheduler_test, calls_go_to_the_lane_with_the_smallest_share_taken) {
    a_lane small;
    a_lane large;
    open(small, 2);
    open(large, 8);
    std::size_t to_large = 0;
    for (int i = 0; i < 10; ++i) {
        auto& call = wait("f");
        to_large += next(call) == &large ? 1 : 0;
        if (i == 4) {
            EXPECT_EQ(to_large, 4u);
        }
    }
    EXPECT_EQ(to_large, 8u);
}

TEST_F(lane_scheduler_test, functions_take_turns_however_many_calls_one_has) {
    a_lane one;
    scheduler_.add(one);
    std::deque<a_call*> flood;
    for (int i = 0; i < 50; ++i) {
        flood.push_back(&wait("flood"));
    }
    auto& other = wait("other");
    auto& third = wait("third");
    scheduler_.set_window(one, 1);
    EXPECT_EQ(next(*flood[0]), &one);
    scheduler_.ended(one, *flood[0]);
    EXPECT_EQ(next(other), &one);
    scheduler_.ended(one, other);
    EXPECT_EQ(next(third), &one);
    scheduler_.ended(one, third);
    EXPECT_EQ(next(*flood[1]), &one);
}

TEST_F(lane_scheduler_test, a_flood_leaves_a_credit_to_functions_that_are_in_use) {
    a_lane one;
    open(one, 16);
    auto& before = wait("other");
    next(before);
    scheduler_.ended(one, before);
    for (int i = 0; i < 50; ++i) {
        wait("flood");
    }
    std::size_t taken = 0;
    while (scheduler_.next(now_)) {
        ++taken;
    }
    EXPECT_EQ(taken, 14u);  // an eighth stays
    auto& call = wait("other");
    EXPECT_EQ(next(call), &one);
    now_ += lane_scheduler::use_remembered;
    EXPECT_TRUE(scheduler_.next(now_));  // nobody else wants it any more
}

TEST_F(lane_scheduler_test, several_floods_leave_a_credit_to_functions_that_are_in_use) {
    a_lane one;
    open(one, 16);
    auto& before = wait("other");
    next(before);
    scheduler_.ended(one, before);
    for (const auto& [flood, left] : {std::pair("first", 2u), std::pair("second", 1u)}) {
        for (int i = 0; i < 50; ++i) {
            wait(flood);
        }
        while (scheduler_.next(now_)) {
        }
        EXPECT_EQ(scheduler_.credits_free(), left) << flood;
    }
    auto& call = wait("other");
    EXPECT_EQ(next(call), &one);
}

// Two functions whose calls never end always have as many waiting as the queues take.
TEST_F(lane_scheduler_test, functions_at_their_limits_hold_back_no_call_of_another) {
    a_lane one;
    scheduler_.add(one);
    a_call* mine = nullptr;
    for (int step = 0; step < 1'000; ++step) {
        if (mine != nullptr) {
            scheduler_.ended(one, *mine);
        }
        while (scheduler_.waiting() < 100) {
            wait("first flood");
            wait("second flood");
        }
        mine = &wait("other");
        scheduler_.set_window(one, 16);
        bool began = false;
        while (const auto chosen = scheduler_.next(now_)) {
            began = began || &chosen->what == mine;
        }
        ASSERT_TRUE(began) << "in step " << step;
        EXPECT_LE(scheduler_.credits_free(), 1u) << "and what the floods leave is little";
    }
}

TEST_F(lane_scheduler_test, a_function_alone_has_every_credit) {
    a_lane one;
    open(one, 2);
    auto& first = wait("f");
    auto& second = wait("f");
    EXPECT_EQ(next(first), &one);
    EXPECT_EQ(next(second), &one);
}

// Calls of one length; the flood always has as many waiting as the queue takes. A deterministic
// simulation in steps of one call's length.
TEST_F(lane_scheduler_test, a_flood_does_not_double_the_waiting_time_of_another_function) {
    a_lane one;
    open(one, 8);
    std::deque<a_call*> running;
    std::size_t longest = 0;
    std::size_t waited = 0;
    a_call* mine = nullptr;
    for (int step = 0; step < 1'000; ++step) {
        for (a_call* each : std::exchange(running, {})) {
            scheduler_.ended(one, *each);
            mine = each == mine ? nullptr : mine;
        }
        while (scheduler_.waiting() < 100) {
            wait("flood");
        }
        if (mine == nullptr) {
            mine = &wait("other");
            waited = 0;
        }
        bool began = false;
        while (const auto chosen = scheduler_.next(now_)) {
            running.push_back(static_cast<a_call*>(&chosen->what));
            began = began || &chosen->what == mine;
        }
        const bool runs = began || std::ranges::find(running, mine) != running.end();
        longest = std::max(longest, runs ? waited : ++waited);
    }
    EXPECT_EQ(longest, 0u);
}

TEST_F(lane_scheduler_test, a_full_queue_takes_no_more) {
    for (int i = 0; i < 100; ++i) {
        wait("f");
    }
    a_call over(function_of("f"));
    EXPECT_FALSE(scheduler_.enqueue(over, now_));
    for (int i = 0; i < 50; ++i) {
        wait("g");
    }
    a_call over_all(function_of("h"));
    EXPECT_FALSE(scheduler_.enqueue(over_all, now_));
    scheduler_.withdraw(calls_.front());
    EXPECT_TRUE(scheduler_.enqueue(over, now_));
    scheduler_.withdraw(over);
    EXPECT_EQ(scheduler_.waiting(), 149u);
}

TEST_F(lane_scheduler_test, a_call_does_not_go_to_a_worker_that_refused_it) {
    a_lane one;
    a_lane two;
    open(one, 8);
    auto& call = wait("f");
    call.add_refusal(one);
    EXPECT_FALSE(scheduler_.has_lane_for(call));
    EXPECT_EQ(next(call), nullptr);
    auto& other = wait("g");
    EXPECT_EQ(next(other), &one);  // which it does not hold up
    open(two, 8);
    EXPECT_TRUE(scheduler_.has_lane_for(call));
    EXPECT_EQ(next(call), &two);
}

TEST_F(lane_scheduler_test, a_call_that_fits_on_no_worker_holds_back_none_behind_it) {
    a_lane one;
    a_lane two;
    open(one, 2);
    open(two, 2);
    auto& refused = wait("f");
    refused.add_refusal(one);
    refused.add_refusal(two);
    auto& half_refused = wait("f");
    half_refused.add_refusal(one);
    auto& behind = wait("f");
    auto& other = wait("g");
    EXPECT_EQ(next(half_refused), &two);
    EXPECT_EQ(next(other), &one);
    EXPECT_NE(next(behind), nullptr);
    EXPECT_EQ(next(refused), nullptr);
    EXPECT_EQ(scheduler_.waiting(), 1u);
}

TEST_F(lane_scheduler_test, a_lane_that_is_gone_takes_its_credits_along) {
    a_lane one;
    a_lane two;
    open(one, 4);
    open(two, 4);
    scheduler_.set_warm(one, "f", 1, 4);
    auto& call = wait("f");
    EXPECT_EQ(next(call), &one);
    scheduler_.remove(one);
    scheduler_.ended(call);
    EXPECT_EQ(scheduler_.credits(), 4u);
    EXPECT_EQ(scheduler_.credits_free(), 4u);
    auto& again = wait("f");
    EXPECT_EQ(next(again), &two);
}

TEST_F(lane_scheduler_test, credits_taken_back_below_what_is_in_use_count_as_none) {
    a_lane one;
    open(one, 2);
    auto& first = wait("f");
    auto& second = wait("f");
    next(first);
    next(second);
    scheduler_.set_window(one, 0);
    EXPECT_EQ(scheduler_.credits_free(), 0u);
    auto& third = wait("f");
    scheduler_.ended(one, first);
    EXPECT_EQ(next(third), nullptr);
    scheduler_.set_window(one, 2);
    EXPECT_EQ(next(third), &one);
}

TEST_F(lane_scheduler_test, functions_that_nobody_calls_are_forgotten) {
    a_lane one;
    open(one, 1);
    for (int i = 0; i < 5'000; ++i) {
        auto& call = wait(concat("f-", i));
        EXPECT_EQ(next(call), &one);
        scheduler_.ended(one, call);
        now_ += lane_scheduler::use_remembered;
    }
    EXPECT_LE(scheduler_.functions(), 1'025u);
}

}  // namespace
}  // namespace hearth::ctrl
