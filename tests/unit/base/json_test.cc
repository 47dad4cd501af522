#include "base/json.h"

#include <map>

#include <gtest/gtest.h>

namespace hearth {
namespace {

std::map<std::string, std::string> members_of(std::string_view text) {
    std::map<std::string, std::string> members;
    const auto scanned = json::scan_object(
        text, [&](std::string_view name, std::string_view raw) { members.emplace(name, raw); });
    EXPECT_TRUE(scanned) << scanned.error().message;
    return members;
}

TEST(json_scan, hands_on_each_members_text_unchanged) {
    const auto members = members_of(
        R"( { "functionId" : "abc", "inputData": {"a": [1, 2.50, "x,}\""]} , "n":123456789012345678901234567890 ,"b":true} )");
    EXPECT_EQ(members.at("functionId"), R"("abc")");
    EXPECT_EQ(members.at("inputData"), R"({"a": [1, 2.50, "x,}\""]})");
    EXPECT_EQ(members.at("n"), "123456789012345678901234567890");
    EXPECT_EQ(members.at("b"), "true");
}

TEST(json_scan, refuses_what_is_not_one_object) {
    for (const std::string_view text :
         {"", "   ", "[]", "1", "{", "{\"a\":}", "{\"a\":1,}", "{\"a\":NaN}", "{\"a\":1}x",
          "{\"a\":01}", "{\"a\":\"\xff\"}", "{\"a\":1,\"a\":2}", "{'a':1}"}) {
        EXPECT_FALSE(json::scan_object(text, [](auto, auto) {})) << text;
    }
}

TEST(json_scan, bounds_the_depth_without_recursion) {
    const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
    EXPECT_FALSE(json::validate(deep));
    EXPECT_TRUE(json::validate(std::string(500, '[') + std::string(500, ']')));
}

TEST(json_scan, accepts_an_empty_member_name) {
    const auto members = members_of(R"({"":1,"a":2})");
    EXPECT_EQ(members.at("a"), "2");
}

TEST(json_writer, escapes_text_and_replaces_invalid_utf8) {
    json::writer out;
    out.begin_object();
    out.member("text", std::string_view("line\n\"\x01 \xff ok"));
    out.member("count", 3);
    out.member("flag", true);
    out.member_raw("raw", "[1,2]");
    out.end_object();
    EXPECT_EQ(out.view(),
              "{\"text\":\"line\\n\\\"\\u0001 \xef\xbf\xbd "
              "ok\",\"count\":3,\"flag\":true,\"raw\":[1,2]}");
}

TEST(json_document, reads_typed_values) {
    const auto parsed = json::document::parse(R"({"memoryMb": 256})");
    ASSERT_TRUE(parsed);
    std::int64_t memory_mb = 0;
    ASSERT_EQ(parsed->root()["memoryMb"].get(memory_mb), simdjson::SUCCESS);
    EXPECT_EQ(memory_mb, 256);
    EXPECT_FALSE(json::document::parse("{"));
}

TEST(json_string, is_read_with_and_without_escapes) {
    EXPECT_EQ(json::unescape_string(R"("plain")").value(), "plain");
    EXPECT_EQ(json::unescape_string(R"("")").value(), "");
    EXPECT_EQ(json::unescape_string("\"w\xc3\xb6rld\"").value(), "w\xc3\xb6rld");
    EXPECT_EQ(json::unescape_string(R"("a\"b\\c\u00e9\n")").value(), "a\"b\\c\xc3\xa9\n");
}

TEST(json_string, that_is_none_is_refused) {
    for (const char* text : {"", "\"", "1", "null", "[]", "\"open", "open\"", "\"a\"b\"",
                             "\"a\nb\"", "\"\xff\"", "\"\\\"", "\"\\x\""}) {
        EXPECT_FALSE(json::unescape_string(text)) << text;
    }
}

}  // namespace
}  // namespace hearth
