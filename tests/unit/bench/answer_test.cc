#include "bench/load/answer.h"

#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::bench {
namespace {

constexpr std::size_t kept = 16;
constexpr std::string_view hello =
    "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\n\r\nhello";

TEST(answer, one_in_a_piece_is_read) {
    answer one(kept);
    EXPECT_EQ(one.take(hello).value(), hello.size());
    EXPECT_TRUE(one.complete());
    EXPECT_EQ(one.status(), 200);
    EXPECT_EQ(one.body(), "hello");
    EXPECT_FALSE(one.closes());
}

TEST(answer, one_cut_at_any_byte_is_read_alike) {
    for (std::size_t cut = 1; cut < hello.size(); ++cut) {
        answer one(kept);
        EXPECT_EQ(one.take(hello.substr(0, cut)).value(), cut);
        EXPECT_FALSE(one.complete()) << cut;
        EXPECT_EQ(one.take(hello.substr(cut)).value(), hello.size() - cut);
        EXPECT_TRUE(one.complete()) << cut;
        EXPECT_EQ(one.body(), "hello") << cut;
    }
}

TEST(answer, one_byte_by_byte_is_read_alike) {
    answer one(kept);
    for (const char byte : hello) {
        EXPECT_FALSE(one.complete());
        EXPECT_EQ(one.take(std::string_view(&byte, 1)).value(), 1U);
    }
    EXPECT_TRUE(one.complete());
    EXPECT_EQ(one.body(), "hello");
}

TEST(answer, bytes_behind_it_are_left) {
    answer one(kept);
    EXPECT_EQ(one.take(concat(hello, "HTTP/1.1 404")).value(), hello.size());
    one.reset();
    EXPECT_EQ(one.take("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n").value(), 38U);
    EXPECT_TRUE(one.complete());
    EXPECT_EQ(one.status(), 404);
    EXPECT_EQ(one.body(), "");
}

TEST(answer, of_a_long_body_the_first_bytes_are_kept) {
    answer one(kept);
    const std::string body(1000, 'x');
    ASSERT_TRUE(one.take(concat("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", body)));
    EXPECT_FALSE(one.complete());
    ASSERT_TRUE(one.take(body));
    EXPECT_TRUE(one.complete());
    EXPECT_EQ(one.body(), std::string(kept, 'x'));
}

TEST(answer, a_status_without_a_body_needs_no_length) {
    answer one(kept);
    ASSERT_TRUE(one.take("HTTP/1.1 204 No Content\r\n\r\n"));
    EXPECT_TRUE(one.complete());
}

TEST(answer, a_server_that_will_close_is_noticed) {
    answer one(kept);
    ASSERT_TRUE(one.take("HTTP/1.1 200 OK\r\nCONNECTION:  Close\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_TRUE(one.closes());
    one.reset();
    ASSERT_TRUE(one.take(hello));
    EXPECT_FALSE(one.closes());
}

TEST(answer, what_it_cannot_read_is_refused) {
    for (const char* text :
         {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 2\r\n\r\n",
          "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "\r\n\r\n"}) {
        answer one(kept);
        EXPECT_FALSE(one.take(text)) << text;
    }
}

TEST(answer, a_head_without_an_end_is_given_up) {
    answer one(kept);
    result<std::size_t> taken = one.take("HTTP/1.1 200 OK\r\n");
    for (std::size_t i = 0; taken && i <= answer::head_bytes_max; i += kept) {
        taken = one.take(std::string(kept, 'x'));
    }
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, errc::too_large);
}

}  // namespace
}  // namespace hearth::bench
