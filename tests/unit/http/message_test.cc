#include <gtest/gtest.h>

#include "http/date.h"
#include "http/error_response.h"
#include "http/media_type.h"
#include "http/response.h"
#include "http/target.h"

namespace hearth::http {
namespace {

TEST(response, cannot_be_split_by_a_header_value) {
    response answer(200);
    answer.add_header("X-Note", std::string_view("a\r\nSet-Cookie: b\n"));
    EXPECT_EQ(answer.header_lines(), "X-Note: a  Set-Cookie: b \r\n");
}

TEST(response, keeps_its_body_in_the_parts_it_was_given) {
    response answer(200);
    answer.append("a").append("bc").append("").append("d").append("e");
    EXPECT_EQ(answer.part_count(), response::parts_max);
    EXPECT_EQ(answer.part(1), "bc");
    EXPECT_EQ(answer.part(3), "de");
    EXPECT_EQ(answer.body_size(), 5U);
}

TEST(error_response, has_the_one_shape_of_errors) {
    const response answer = error_response(404, "not_found", "No \"x\".", "id-1");
    EXPECT_EQ(answer.status(), 404);
    EXPECT_EQ(answer.content_type(), "application/json");
    EXPECT_EQ(answer.part(0),
              R"({"error":{"code":"not_found","message":"No \"x\"."},"requestId":"id-1"})");
}

TEST(error_response, shows_what_blames_the_caller_and_hides_what_is_internal) {
    EXPECT_NE(error_response(error{errc::invalid_argument, "bad x"}, "i").part(0).find("bad x"),
              std::string_view::npos);
    const response hidden = error_response(error{errc::io, "open /etc/key: denied"}, "i");
    EXPECT_EQ(hidden.status(), 500);
    EXPECT_EQ(hidden.part(0).find("/etc/key"), std::string_view::npos);
    EXPECT_EQ(status_of(errc::limit_exceeded), 429);
    EXPECT_EQ(status_of(errc::deadline_exceeded), 504);
}

TEST(date, is_an_imf_fixdate_and_made_anew_when_the_second_changes) {
    date_cache cache;
    EXPECT_EQ(cache.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(cache.at(784111778), "Sun, 06 Nov 1994 08:49:38 GMT");
    EXPECT_EQ(cache.at(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
}

TEST(media_type, is_compared_without_case_and_parameters) {
    EXPECT_TRUE(has_media_type("Application/JSON; charset=utf-8", "application/json"));
    EXPECT_TRUE(has_media_type("application/json", "application/json"));
    EXPECT_FALSE(has_media_type("application/jsonx", "application/json"));
    EXPECT_FALSE(has_media_type("", "application/json"));
}

TEST(query_value, is_decoded_and_the_first_of_its_name) {
    const std::string_view query = "a=1&b=x+y%21&a=2&c&d=%zz&=e&%61b=f";
    EXPECT_EQ(query_value(query, "a"), "1");
    EXPECT_EQ(query_value(query, "b"), "x y!");
    EXPECT_EQ(query_value(query, "c"), "");
    EXPECT_EQ(query_value(query, "d"), "%zz");
    EXPECT_EQ(query_value(query, "ab"), "f");
    EXPECT_FALSE(query_value(query, "z"));
}

}  // namespace
}  // namespace hearth::http
