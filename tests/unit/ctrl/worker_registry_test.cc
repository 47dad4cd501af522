#include "ctrl/worker_registry.h"

#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::ctrl {
namespace {

constexpr epoch_ms shown = 1'700'000'000'000;
const steady_time start = steady_time() + seconds(1'000);

faas::worker_report report_of(std::string id, bool draining = false) {
    return {.id = std::move(id), .draining = draining, .sandboxes_max = 10, .sandboxes_busy = 4};
}

TEST(worker_registry, a_worker_that_reported_is_live) {
    worker_registry workers;
    ASSERT_TRUE(workers.heard(report_of("a"), start, shown));
    ASSERT_TRUE(workers.heard(report_of("b", true), start, shown));
    const auto sum = workers.count(start + milliseconds(29'999));
    EXPECT_EQ(sum.live, 2);
    EXPECT_EQ(sum.draining, 1);
    EXPECT_EQ(sum.dead, 0);
    EXPECT_EQ(sum.sandboxes_max, 10);
    EXPECT_EQ(sum.sandboxes_busy, 8);
}

TEST(worker_registry, thirty_seconds_of_silence_are_death_and_a_word_is_life_again) {
    worker_registry workers;
    ASSERT_TRUE(workers.heard(report_of("a"), start, shown));
    EXPECT_EQ(workers.count(start + milliseconds(30'000)).dead, 1);
    EXPECT_FALSE(workers.list(start + milliseconds(30'000)).front().live);
    ASSERT_TRUE(workers.heard(report_of("a"), start + milliseconds(40'000), shown));
    EXPECT_EQ(workers.count(start + milliseconds(40'000)).live, 1);
    EXPECT_EQ(workers.list(start + milliseconds(40'000)).front().first_seen, shown);
}

TEST(worker_registry, a_step_of_the_wall_clock_kills_nobody_and_keeps_nobody_alive) {
    worker_registry workers;
    constexpr epoch_ms hour = 3'600'000;
    ASSERT_TRUE(workers.heard(report_of("a"), start, shown + hour));
    ASSERT_TRUE(workers.heard(report_of("b"), start + milliseconds(1'000), shown - hour));
    EXPECT_EQ(workers.count(start + milliseconds(29'999)).live, 2);
    EXPECT_EQ(workers.list(start + milliseconds(1'000)).back().last_seen, shown - hour);
    EXPECT_EQ(workers.count(start + milliseconds(31'000)).dead, 2);
}

TEST(worker_registry, the_dead_are_forgotten_after_ten_minutes) {
    worker_registry workers;
    ASSERT_TRUE(workers.heard(report_of("a"), start, shown));
    EXPECT_EQ(workers.list(start + milliseconds(599'999)).size(), 1U);
    EXPECT_EQ(workers.list(start + milliseconds(600'000)).size(), 0U);
}

TEST(worker_registry, who_says_goodbye_is_gone_at_once) {
    worker_registry workers;
    ASSERT_TRUE(workers.heard(report_of("a"), start, shown));
    workers.left("a", start);
    workers.left("never known", start);
    EXPECT_TRUE(workers.list(start).empty());
}

TEST(worker_registry, tells_others_who_lives_and_for_a_while_who_left) {
    worker_registry workers;
    ASSERT_TRUE(workers.heard(report_of("dead"), start - seconds(30), shown));
    ASSERT_TRUE(workers.heard(report_of("drains", true), start, shown));
    ASSERT_TRUE(workers.heard(report_of("gone"), start, shown));
    ASSERT_TRUE(workers.heard(report_of("lives"), start, shown));
    workers.left("gone", start);
    const auto told = workers.sightings(start + seconds(1));
    ASSERT_EQ(told.size(), 3U);
    EXPECT_EQ(told[0].id, "drains");
    EXPECT_TRUE(told[0].leaving);
    EXPECT_EQ(told[1].id, "lives");
    EXPECT_FALSE(told[1].leaving);
    EXPECT_EQ(told[1].ago, milliseconds(1'000));
    EXPECT_EQ(told[2].id, "gone");
    EXPECT_TRUE(told[2].leaving);
    EXPECT_TRUE(workers.sightings(start + seconds(30)).empty());
}

TEST(worker_registry, more_workers_than_the_limit_are_refused_and_known_ones_are_not) {
    worker_registry workers;
    for (std::size_t i = 0; i < worker_registry::workers_max; ++i) {
        ASSERT_TRUE(workers.heard(report_of(concat("worker-", i)), start, shown));
    }
    EXPECT_EQ(workers.heard(report_of("one-more"), start, shown).error().code,
              errc::limit_exceeded);
    EXPECT_TRUE(workers.heard(report_of("worker-0"), start, shown));
}

}  // namespace
}  // namespace hearth::ctrl
