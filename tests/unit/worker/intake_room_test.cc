#include "worker/intake_room.h"

#include <gtest/gtest.h>

#include "tests/support/test_executor.h"

namespace hearth::worker {
namespace {

class intake_room_test : public ::testing::Test {
protected:
    std::size_t reserve(std::size_t most) { return loop_.run(room_.reserve(most)).value_or(0); }
    // A job has run, for so long.
    void pace(milliseconds each) { room_.end(room_.begin(steady_clock::now() - each), true); }

    test::test_executor loop_;
    intake_room room_{4};
};

TEST_F(intake_room_test, takes_no_more_than_run_at_once_before_anything_has_run) {
    EXPECT_EQ(reserve(10), 4u);
    EXPECT_EQ(room_.in_hand(), 4u);
}

TEST_F(intake_room_test, takes_as_many_ahead_as_begin_within_the_window) {
    pace(milliseconds(100));  // each of the four places is free two and a half times in a window
    EXPECT_GE(room_.limit(), 4u + 8u);
    EXPECT_LE(room_.limit(), 4u + 10u);
}

TEST_F(intake_room_test, takes_next_to_nothing_ahead_of_jobs_longer_than_the_window) {
    pace(milliseconds(2'000));
    EXPECT_EQ(room_.limit(), 4u);
}

TEST_F(intake_room_test, jobs_that_run_much_longer_than_those_before_leave_no_room_ahead) {
    pace(milliseconds(1));
    for (int i = 0; i < 4; ++i) {
        [[maybe_unused]] const auto stuck = room_.begin(steady_clock::now() - milliseconds(2'000));
    }
    EXPECT_EQ(room_.limit(), 4u);
}

TEST_F(intake_room_test, one_long_job_does_not_keep_the_other_places_from_short_ones) {
    pace(milliseconds(1));
    [[maybe_unused]] const auto stuck = room_.begin(steady_clock::now() - milliseconds(2'000));
    EXPECT_EQ(room_.limit(), 4u + intake_room::ahead_max);
}

TEST_F(intake_room_test, what_did_not_run_tells_no_pace) {
    room_.end(room_.begin(), false);
    EXPECT_EQ(room_.limit(), 4u);
}

TEST_F(intake_room_test, a_pace_that_is_forgotten_is_learnt_anew) {
    pace(milliseconds(1));
    room_.forget_pace();
    EXPECT_EQ(room_.limit(), 4u);
    pace(milliseconds(1));
    EXPECT_GT(room_.limit(), 4u);
}

TEST_F(intake_room_test, what_is_taken_ahead_is_bounded) {
    pace(milliseconds(0));
    EXPECT_EQ(room_.limit(), 4u + intake_room::ahead_max);
}

TEST_F(intake_room_test, the_pace_follows_what_runs) {
    pace(milliseconds(1));
    for (int i = 0; i < 60; ++i) {
        pace(milliseconds(3'000));
    }
    EXPECT_EQ(room_.limit(), 4u);
}

TEST_F(intake_room_test, large_events_leave_no_room_ahead) {
    pace(milliseconds(1));
    ASSERT_EQ(reserve(10), 10u);
    room_.arrived(10, 10, intake_room::bytes_max);
    EXPECT_EQ(room_.limit(), 4u);
    for (int i = 0; i < 10; ++i) {
        room_.left(intake_room::bytes_max / 10 + (i == 0 ? intake_room::bytes_max % 10 : 0));
    }
    EXPECT_GT(room_.limit(), 4u);
}

TEST_F(intake_room_test, what_did_not_come_is_room_again) {
    ASSERT_EQ(reserve(10), 4u);
    room_.arrived(4, 1, 2);
    EXPECT_EQ(room_.in_hand(), 1u);
    EXPECT_EQ(reserve(10), 3u);
}

TEST_F(intake_room_test, waits_for_room) {
    ASSERT_EQ(reserve(10), 4u);
    room_.arrived(4, 4, 0);
    auto waiting = loop_.start(room_.reserve(10));
    loop_.run_ready_tasks();
    EXPECT_EQ(room_.in_hand(), 4u);
    room_.left(0);
    EXPECT_EQ(waiting.get().value_or(0), 1u);
}

TEST_F(intake_room_test, short_jobs_are_asked_for_in_full_batches) {
    pace(milliseconds(1));
    while (room_.in_hand() + 10 <= room_.limit()) {
        ASSERT_EQ(reserve(10), 10u);
        room_.arrived(10, 10, 0);
    }
    auto waiting = loop_.start(room_.reserve(10));
    const std::size_t before = room_.in_hand();
    while (room_.in_hand() + 10 > room_.limit() + 1) {
        room_.left(0);
    }
    loop_.run_ready_tasks();
    EXPECT_LT(room_.in_hand(), before);
    room_.left(0);
    EXPECT_EQ(waiting.get().value_or(0), 10u);
}

}  // namespace
}  // namespace hearth::worker
