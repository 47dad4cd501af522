#include "redis/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::redis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(redis_endpoint, a_bare_host_has_the_default_port) {
    const auto parsed = parse_endpoint("cache.internal");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->host, "cache.internal");
    EXPECT_EQ(parsed->port, 6379);
    EXPECT_FALSE(parsed->tls);
    EXPECT_EQ(to_text(*parsed), "cache.internal:6379");
}

TEST(redis_endpoint, a_url_has_everything) {
    const auto parsed = parse_endpoint("rediss://hearth:p%40ss%3Aword@cache.internal:6380/7");
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->tls);
    EXPECT_EQ(parsed->user, "hearth");
    EXPECT_EQ(parsed->password, "p@ss:word");
    EXPECT_EQ(parsed->host, "cache.internal");
    EXPECT_EQ(parsed->port, 6380);
    EXPECT_EQ(parsed->database, 7U);
}

TEST(redis_endpoint, a_password_without_a_user_is_the_default_users) {
    const auto parsed = parse_endpoint("redis://:secret@10.0.0.1");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->user, "");
    EXPECT_EQ(parsed->password, "secret");
}

TEST(redis_endpoint, addresses_of_version_6_stand_in_brackets) {
    const auto parsed = parse_endpoint("[::1]:7000");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->host, "::1");
    EXPECT_EQ(parsed->port, 7000);
    EXPECT_EQ(to_text(*parsed), "[::1]:7000");
    EXPECT_EQ(parse_endpoint("[::1]")->port, 6379);
}

TEST(redis_endpoint, a_socket_is_a_path) {
    const auto parsed = parse_endpoint("unix:///run/redis.sock");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->host, "/run/redis.sock");
    EXPECT_EQ(to_text(*parsed), "/run/redis.sock");
}

TEST(redis_endpoint, what_is_wrong_is_said_without_the_password) {
    for (const auto* text :
         {"", ":6379", "host:", "host:0", "host:65536", "host:port", "redis://user@host",
          "redis://a:%zz@host", "redis://a:%4", "redis://a:secret@", "redis://:secret@host/x",
          "unix://relative", "[::1", "[::1]x", "host/path", "a b"}) {
        const auto parsed = parse_endpoint(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, errc::invalid_argument) << text;
        EXPECT_THAT(parsed.error().message, Not(HasSubstr("secret")));
    }
}

}  // namespace
}  // namespace hearth::redis
