#include "http/parser.h"

#include <set>

#include <gtest/gtest.h>

#include "tests/unit/http/corpus.h"
#include "tests/unit/http/reading.h"

namespace hearth::http {
namespace {

// Handlers answer with other statuses below 400; to the parsers all of them are accepted.
std::vector<int> as_parsed(std::vector<int> statuses) {
    for (int& status : statuses) {
        status = status < 400 ? 200 : status;
    }
    return statuses;
}

head_parser::status feed(head_parser& parser, std::string_view text, std::size_t* left = nullptr) {
    std::span<const std::byte> input = std::as_bytes(std::span(text));
    const auto status = parser.feed(input);
    if (left != nullptr) {
        *left = input.size();
    }
    return status;
}

TEST(wire_corpus, has_cases_enough_and_each_a_name_of_its_own) {
    std::set<std::string> names;
    for (const wire_case& each : wire_cases()) {
        EXPECT_TRUE(names.insert(each.name).second) << each.name;
    }
    EXPECT_GE(names.size(), 120U);
}

TEST(wire_corpus, gets_the_expected_answers_in_one_piece) {
    for (const wire_case& each : wire_cases()) {
        EXPECT_EQ(read_in_pieces(each.bytes, each.bytes.size() + 1).statuses,
                  as_parsed(each.statuses))
            << each.name;
    }
}

TEST(wire_corpus, gets_the_same_answers_byte_by_byte) {
    for (const wire_case& each : wire_cases()) {
        EXPECT_EQ(read_in_pieces(each.bytes, 1), read_in_pieces(each.bytes, each.bytes.size() + 1))
            << each.name;
    }
}

TEST(wire_corpus, gets_the_same_answers_split_at_every_position) {
    for (const wire_case& each : wire_cases()) {
        const reading whole = read_in_pieces(each.bytes, each.bytes.size() + 1);
        // Splits inside the long fillers of the limit cases are all alike.
        const std::size_t step = each.bytes.size() > 2000 ? 97 : 1;
        for (std::size_t at = 0; at <= each.bytes.size(); at += step) {
            ASSERT_EQ(read_split_at(each.bytes, at), whole) << each.name << " split at " << at;
        }
    }
}

TEST(head_parser, gives_the_parts_of_a_request) {
    head_parser parser;
    ASSERT_EQ(feed(parser,
                   "PUT /functions/a%20b?x=1&y HTTP/1.1\r\nHost: h:80\r\nX-One:  two words \t\r\n"
                   "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\n"),
              head_parser::status::complete);
    const request_head& head = parser.head();
    EXPECT_EQ(head.method, method::put);
    EXPECT_EQ(head.target, "/functions/a%20b?x=1&y");
    EXPECT_EQ(head.path, "/functions/a b");
    EXPECT_EQ(head.query, "x=1&y");
    EXPECT_EQ(head.host, "h:80");
    EXPECT_EQ(head.header("x-one"), "two words");
    EXPECT_EQ(head.header("X-ONE"), "two words");
    EXPECT_FALSE(head.header("x-two"));
    EXPECT_EQ(head.content_length, 12U);
    EXPECT_TRUE(head.expects_continue);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_FALSE(head.chunked);
}

TEST(head_parser, leaves_what_follows_the_head_to_the_caller) {
    head_parser parser;
    std::size_t left = 0;
    EXPECT_EQ(feed(parser, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /next", &left),
              head_parser::status::complete);
    EXPECT_EQ(left, std::string_view("GET /next").size());
}

TEST(head_parser, takes_nothing_after_the_end_until_it_is_reset) {
    head_parser parser;
    std::size_t left = 0;
    EXPECT_EQ(feed(parser, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), head_parser::status::complete);
    EXPECT_EQ(feed(parser, "GET", &left), head_parser::status::complete);
    EXPECT_EQ(left, 3U);
    parser.reset();
    EXPECT_EQ(feed(parser, "GET", &left), head_parser::status::incomplete);
    EXPECT_EQ(left, 0U);
}

TEST(head_parser, forgets_the_request_before) {
    head_parser parser;
    EXPECT_EQ(feed(parser,
                   "POST /a%41?q HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n"),
              head_parser::status::complete);
    EXPECT_EQ(parser.head().path, "/aA");
    EXPECT_TRUE(parser.head().keep_alive);
    parser.reset();
    EXPECT_EQ(feed(parser, "GET /b HTTP/1.0\r\n\r\n"), head_parser::status::complete);
    EXPECT_EQ(parser.head().path, "/b");
    EXPECT_EQ(parser.head().query, "");
    EXPECT_FALSE(parser.head().content_length);
    EXPECT_FALSE(parser.head().keep_alive);
    EXPECT_TRUE(parser.head().headers.empty());
}

TEST(head_parser, holds_each_limit_exactly) {
    const parser_limits limits = {.request_line_bytes_max = 20,
                                  .header_line_bytes_max = 12,
                                  .headers_max = 3,
                                  .head_bytes_max = 49};
    const auto status_of = [&](std::string_view text) {
        head_parser parser(limits);
        return feed(parser, text) == head_parser::status::failed ? parser.error().status : 200;
    };
    EXPECT_EQ(status_of("GET /1234 HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
    EXPECT_EQ(status_of("GET /12345 HTTP/1.1\r\nHost: h\r\n\r\n"), 414);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: hhhh\r\n\r\n"), 200);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: hhhhh\r\n\r\n"), 431);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nA:1\r\nB:2\r\n\r\n"), 200);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nA:1\r\nB:2\r\nC:3\r\n\r\n"), 431);
    EXPECT_EQ(status_of("GET /1234 HTTP/1.1\r\nHost: hhhh\r\nA: 2345678\r\n\r\n"), 200);
    EXPECT_EQ(status_of("GET /1234 HTTP/1.1\r\nHost: hhhh\r\nA: 2345678\r\nB:\r\n\r\n"), 431);
}

TEST(body_decoder, holds_the_limit_of_a_body_exactly) {
    const auto status_of = [](const std::string& headers, const std::string& body) {
        head_parser parser;
        EXPECT_EQ(feed(parser, "POST / HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n"),
                  head_parser::status::complete);
        body_decoder decoder(body_limits{.body_bytes_max = 5});
        auto status = decoder.begin(parser.head());
        std::span<const std::byte> input = std::as_bytes(std::span(body));
        std::span<const std::byte> data;
        while (status == body_decoder::status::incomplete || status == body_decoder::status::data) {
            status = decoder.next(input, data);
        }
        return status == body_decoder::status::failed ? decoder.error().status : 200;
    };
    EXPECT_EQ(status_of("Content-Length: 5\r\n", "12345"), 200);
    EXPECT_EQ(status_of("Content-Length: 6\r\n", "123456"), 413);
    EXPECT_EQ(status_of("Transfer-Encoding: chunked\r\n", "3\r\n123\r\n2\r\n45\r\n0\r\n\r\n"), 200);
    EXPECT_EQ(status_of("Transfer-Encoding: chunked\r\n", "3\r\n123\r\n3\r\n456\r\n0\r\n\r\n"),
              413);
}

}  // namespace
}  // namespace hearth::http
