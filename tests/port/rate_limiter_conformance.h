#pragma once

#include <gtest/gtest.h>

#include "faas/ports.h"
#include "tests/support/test_executor.h"

// What every rate limiter must hold. The fixture is constructed with a limit per window of 1000 ms,
// starts unused and has
//     explicit Fixture(std::int64_t limit);
//     test_executor& loop();
//     faas::rate_limiter& port();
//     void pass(milliseconds);   // its clock stands still otherwise

namespace hearth::test {

template <class Fixture>
class rate_limiter_conformance : public ::testing::Test {
protected:
    static faas::rate_decision check(Fixture& fixture, std::string_view key = "key") {
        const auto decision = fixture.loop().run(fixture.port().check(key, soon()));
        EXPECT_TRUE(decision) << decision.error().message;
        return decision.value_or(faas::rate_decision{.allowed = false, .limit = -1});
    }
};
TYPED_TEST_SUITE_P(rate_limiter_conformance);

TYPED_TEST_P(rate_limiter_conformance, allows_the_limit_and_refuses_the_next) {
    TypeParam fixture(3);
    for (std::int64_t left = 2; left >= 0; --left) {
        const auto decision = this->check(fixture);
        EXPECT_TRUE(decision.allowed);
        EXPECT_EQ(decision.limit, 3);
        EXPECT_EQ(decision.remaining, left);
    }
    const auto refused = this->check(fixture);
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.remaining, 0);
    EXPECT_EQ(refused.retry_after, milliseconds(1000));
}

TYPED_TEST_P(rate_limiter_conformance, a_request_leaves_the_window_exactly_one_window_later) {
    TypeParam fixture(1);
    ASSERT_TRUE(this->check(fixture).allowed);
    fixture.pass(milliseconds(999));
    const auto refused = this->check(fixture);
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.retry_after, milliseconds(1));
    fixture.pass(milliseconds(1));
    EXPECT_TRUE(this->check(fixture).allowed);
}

TYPED_TEST_P(rate_limiter_conformance, no_window_of_any_position_holds_more_than_the_limit) {
    // A counter per calendar window would let four through within 400 ms here.
    TypeParam fixture(2);
    fixture.pass(milliseconds(800));
    ASSERT_TRUE(this->check(fixture).allowed);
    ASSERT_TRUE(this->check(fixture).allowed);
    fixture.pass(milliseconds(400));
    EXPECT_FALSE(this->check(fixture).allowed);
    fixture.pass(milliseconds(599));
    EXPECT_FALSE(this->check(fixture).allowed);
    fixture.pass(milliseconds(1));
    EXPECT_TRUE(this->check(fixture).allowed);
    EXPECT_TRUE(this->check(fixture).allowed);
    EXPECT_FALSE(this->check(fixture).allowed);
}

TYPED_TEST_P(rate_limiter_conformance, a_refused_request_does_not_count) {
    TypeParam fixture(1);
    ASSERT_TRUE(this->check(fixture).allowed);
    for (int i = 0; i < 9; ++i) {
        fixture.pass(milliseconds(100));
        EXPECT_FALSE(this->check(fixture).allowed);
    }
    fixture.pass(milliseconds(100));
    EXPECT_TRUE(this->check(fixture).allowed);
}

TYPED_TEST_P(rate_limiter_conformance, waiting_as_told_is_long_enough_and_not_too_long) {
    TypeParam fixture(2);
    ASSERT_TRUE(this->check(fixture).allowed);
    fixture.pass(milliseconds(300));
    ASSERT_TRUE(this->check(fixture).allowed);
    fixture.pass(milliseconds(50));
    const auto refused = this->check(fixture);
    ASSERT_FALSE(refused.allowed);
    EXPECT_EQ(refused.retry_after, milliseconds(650));
    fixture.pass(refused.retry_after - milliseconds(1));
    EXPECT_FALSE(this->check(fixture).allowed);
    fixture.pass(milliseconds(1));
    EXPECT_TRUE(this->check(fixture).allowed);
}

TYPED_TEST_P(rate_limiter_conformance, keys_do_not_share_a_limit) {
    TypeParam fixture(1);
    EXPECT_TRUE(this->check(fixture, "a").allowed);
    EXPECT_TRUE(this->check(fixture, "b").allowed);
    EXPECT_TRUE(this->check(fixture, "").allowed);
    EXPECT_FALSE(this->check(fixture, "a").allowed);
}

TYPED_TEST_P(rate_limiter_conformance, a_limit_of_zero_allows_everything) {
    TypeParam fixture(0);
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(this->check(fixture).allowed);
    }
}

REGISTER_TYPED_TEST_SUITE_P(rate_limiter_conformance, allows_the_limit_and_refuses_the_next,
                            a_request_leaves_the_window_exactly_one_window_later,
                            no_window_of_any_position_holds_more_than_the_limit,
                            a_refused_request_does_not_count,
                            waiting_as_told_is_long_enough_and_not_too_long,
                            keys_do_not_share_a_limit, a_limit_of_zero_allows_everything);

}  // namespace hearth::test
