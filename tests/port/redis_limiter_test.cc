#include <gtest/gtest.h>

#include "tests/port/redis_fixtures.h"

// What holds for the rate limiter on Redis beyond its port: a server that is away, hangs, refuses
// or does not know the script.

namespace hearth::test {
namespace {

TEST(redis_rate_limiter, teaches_a_new_server_the_script) {
    redis_limiter_fixture fixture(1);
    ASSERT_TRUE(fixture.loop().run(fixture.port().check("key", soon()))->allowed);
    ASSERT_TRUE(fixture.loop().run(fixture.client().call({"SCRIPT", "FLUSH"}, soon())));
    EXPECT_FALSE(fixture.loop().run(fixture.port().check("key", soon()))->allowed);
}

TEST(redis_rate_limiter, a_window_that_nobody_uses_leaves_no_key) {
    redis_limiter_fixture fixture(5);
    ASSERT_TRUE(fixture.loop().run(fixture.port().check("key", soon()))->allowed);
    const auto left =
        fixture.loop().run(fixture.client().call({"PTTL", "hearth:rate:key"}, soon()));
    EXPECT_GT(left->get().integer(), 0);
    EXPECT_LE(left->get().integer(), 1'000);
}

TEST(redis_rate_limiter, the_servers_clock_is_the_clock) {
    redis_limiter_fixture fixture(1);
    redis::rate_limiter limiter(fixture.client(), {.limit = 2, .window = seconds(60)});
    EXPECT_EQ(fixture.loop().run(limiter.check("key", soon()))->remaining, 1);
    EXPECT_EQ(fixture.loop().run(limiter.check("key", soon()))->remaining, 0);
    const auto refused = fixture.loop().run(limiter.check("key", soon()));
    EXPECT_FALSE(refused->allowed);
    EXPECT_GT(refused->retry_after, seconds(1));
    EXPECT_LE(refused->retry_after, seconds(60));
}

TEST(redis_rate_limiter, without_a_server_it_is_open_or_closed_as_set) {
    redis_limiter_fixture fixture(1);
    ASSERT_TRUE(fixture.loop().run(fixture.port().check("key", soon())));
    redis::rate_limiter closed(fixture.client(), {.limit = 1, .fail_open = false});
    fixture.server().kill();
    fixture.loop().run_until([&] { return !fixture.client().connected(); });
    EXPECT_TRUE(fixture.loop().run(fixture.port().check("key", soon()))->allowed);
    EXPECT_EQ(fixture.port().passed_unasked(), 1U);
    EXPECT_EQ(fixture.loop().run(closed.check("key", soon())).error().code, errc::unavailable);
}

// A limiter on a server of its own, whose trouble ends with the first check that succeeds.
class redis_limiter_trouble : public ::testing::Test, public redis_fixture {
protected:
    redis_limiter_trouble() { EXPECT_TRUE(check().allowed); }
    ~redis_limiter_trouble() { end(); }

    faas::rate_decision check(deadline until = soon()) {
        const auto decided = loop().run(limiter_.check("key", until));
        EXPECT_TRUE(decided) << decided.error().message;
        return decided.value_or(faas::rate_decision{});
    }
    void ask(redis::command asked) {
        const auto done = loop().run(client().call(std::move(asked), soon()));
        ASSERT_TRUE(done) << done.error().message;
    }
    void expect_trouble(redis::limiter_trouble kind) {
        EXPECT_TRUE(check().allowed);
        EXPECT_EQ(to_string(limiter_.trouble()), to_string(kind));
        EXPECT_EQ(limiter_.failures(kind), 1U);
    }

    redis::rate_limiter limiter_{
        client(), {.limit = 100, .pause_when_slow = milliseconds(60'000), .calm = milliseconds(0)}};
};

TEST_F(redis_limiter_trouble, a_full_server_is_named_and_its_end_too) {
    ask({"CONFIG", "SET", "maxmemory", "1"});
    expect_trouble(redis::limiter_trouble::memory);
    ask({"CONFIG", "SET", "maxmemory", "0"});
    EXPECT_TRUE(check().allowed);
    EXPECT_EQ(limiter_.trouble(), redis::limiter_trouble::none);
}

TEST_F(redis_limiter_trouble, a_replica_is_named) {
    ask({"REPLICAOF", "127.0.0.1", "1"});
    expect_trouble(redis::limiter_trouble::read_only);
}

TEST_F(redis_limiter_trouble, a_user_without_the_right_is_named) {
    ask({"ACL", "SETUSER", "default", "-evalsha"});
    expect_trouble(redis::limiter_trouble::permission);
}

TEST_F(redis_limiter_trouble, a_server_that_is_gone_is_away) {
    server().kill();
    loop().run_until([&] { return !client().connected(); });
    expect_trouble(redis::limiter_trouble::away);
}

TEST_F(redis_limiter_trouble, one_request_waits_for_a_server_that_hangs_and_the_next_do_not) {
    server().freeze();
    EXPECT_TRUE(check(after(milliseconds(20))).allowed);
    EXPECT_EQ(limiter_.trouble(), redis::limiter_trouble::slow);
    const auto sent = client().counts().commands;
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(check(never).allowed);  // would wait for ever if it asked
    }
    EXPECT_EQ(client().counts().commands, sent);
    EXPECT_EQ(limiter_.passed_unasked(), 101U);
    server().thaw();
}

TEST_F(redis_limiter_trouble, a_probe_ends_it_where_no_request_comes) {
    server().freeze();
    EXPECT_TRUE(check(after(milliseconds(20))).allowed);
    server().thaw();
    EXPECT_TRUE(loop().run(limiter_.probe(soon())));
    EXPECT_EQ(limiter_.trouble(), redis::limiter_trouble::none);
    const auto sent = client().counts().commands;
    EXPECT_TRUE(check().allowed);
    EXPECT_EQ(client().counts().commands, sent + 1);
}

TEST_F(redis_limiter_trouble, closed_it_refuses_at_once_while_the_server_hangs) {
    redis::rate_limiter closed(client(), {.limit = 1, .fail_open = false});
    server().freeze();
    EXPECT_EQ(loop().run(closed.check("key", after(milliseconds(20)))).error().code,
              errc::deadline_exceeded);
    EXPECT_EQ(loop().run(closed.check("key", never)).error().code, errc::unavailable);
    server().thaw();
}

}  // namespace
}  // namespace hearth::test
