#include "ctrl/api_key.h"

#include <gtest/gtest.h>

#include "base/concat.h"
#include "http/parser.h"

namespace hearth::ctrl {
namespace {

// A request without a body never touches its connection.
class untouched_stream final : public net::stream {
public:
    task<result<net::io_buffer>> read(deadline) override { co_return fail(errc::internal, "read"); }
    task<result<>> write(net::write_parts, deadline) override {
        co_return fail(errc::internal, "written");
    }
    task<result<>> shutdown_write(deadline) override { co_return fail(errc::internal, "ended"); }
    task<void> close() override { co_return; }
    [[nodiscard]] const std::string& peer() const noexcept override { return peer_; }

private:
    std::string peer_ = "127.0.0.1:1";
};

// A request as a client sends it, up to its empty line.
bool admits(const api_key& key, const std::string& header_lines) {
    const std::string bytes =
        concat("GET /functions HTTP/1.1\r\nhost: h\r\n", header_lines, "\r\n");
    http::head_parser parser;
    std::span<const std::byte> input = std::as_bytes(std::span(bytes));
    EXPECT_EQ(parser.feed(input), http::head_parser::status::complete) << header_lines;
    untouched_stream connection;
    http::input unread(connection);
    http::body_reader body(connection, unread, {}, {});
    const http::path_parameters parameters;
    const http::request request(parser.head(), body, "id", "127.0.0.1:1", parameters, "/functions");
    return key.admits(request);
}

TEST(api_key, is_taken_from_either_header) {
    const api_key key("secret-1");
    EXPECT_TRUE(admits(key, "x-api-key: secret-1\r\n"));
    EXPECT_TRUE(admits(key, "X-API-Key:   secret-1  \r\n"));
    EXPECT_TRUE(admits(key, "authorization: Bearer secret-1\r\n"));
    EXPECT_TRUE(admits(key, "Authorization: bearer secret-1\r\n"));
}

TEST(api_key, anything_else_is_refused) {
    const api_key key("secret-1");
    for (const auto* lines :
         {"", "x-api-key: \r\n", "x-api-key: secret-2\r\n", "x-api-key: secret-1x\r\n",
          "x-api-key: secret-\r\n", "x-api-key: SECRET-1\r\n", "authorization: secret-1\r\n",
          "authorization: Basic secret-1\r\n", "authorization: Bearer\r\n",
          "authorization: Bearer \r\n", "authorization: Bearersecret-1\r\n", "x-key: secret-1\r\n",
          "cookie: x-api-key=secret-1\r\n"}) {
        EXPECT_FALSE(admits(key, lines)) << lines;
    }
}

TEST(api_key, a_wrong_key_is_not_mended_by_a_right_one_in_the_other_header) {
    const api_key key("secret-1");
    EXPECT_FALSE(admits(key, "x-api-key: wrong\r\nauthorization: Bearer secret-1\r\n"));
}

}  // namespace
}  // namespace hearth::ctrl
