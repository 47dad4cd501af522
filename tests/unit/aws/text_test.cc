#include "aws/text.h"

#include <gtest/gtest.h>

namespace hearth::aws {
namespace {

TEST(aws_text, times_are_read_in_both_forms) {
    EXPECT_EQ(parse_rfc3339("2015-08-30T12:36:00Z"), 1'440'938'160'000);
    EXPECT_EQ(parse_rfc3339("2015-08-30T12:36:00.25Z"), 1'440'938'160'250);
    EXPECT_EQ(parse_rfc3339("2015-08-30T12:36:00.123456+00:00"), 1'440'938'160'123);
    EXPECT_EQ(parse_http_date("Sun, 30 Aug 2015 12:36:00 GMT"), 1'440'938'160'000);
}

TEST(aws_text, what_is_no_time_is_nothing) {
    for (const std::string_view text :
         {"", "now", "2015-08-30", "2015-08-30T12:36:00", "2015-08-30T12:36:00+02:00",
          "2015-08-30T12:36:00Z and more"}) {
        EXPECT_FALSE(parse_rfc3339(text)) << text;
        EXPECT_FALSE(parse_http_date(text)) << text;
    }
}

TEST(aws_text, base64_goes_both_ways) {
    for (const std::string_view text :
         {std::string_view(""), std::string_view("a"), std::string_view("ab"),
          std::string_view("abc"), std::string_view("\0\xff\x10", 3)}) {
        EXPECT_EQ(base64_decode(base64_encode(text)), text);
    }
    EXPECT_EQ(base64_encode("any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
    EXPECT_FALSE(base64_decode("YW5"));
    EXPECT_FALSE(base64_decode("YW5*"));
}

TEST(aws_text, elements_are_found_at_any_depth_and_by_their_whole_name) {
    constexpr std::string_view xml =
        "<?xml version=\"1.0\"?><R xmlns=\"x\"><KeyCount>2</KeyCount><Contents><Key>a&amp;b"
        "</Key></Contents><Contents><Key>&#x3c;c&#62;&quot;</Key></Contents><Empty/></R>";
    const auto contents = xml_elements(xml, "Contents");
    ASSERT_EQ(contents.size(), 2u);
    EXPECT_EQ(xml_text(contents[0], "Key"), "a&b");
    EXPECT_EQ(xml_text(contents[1], "Key"), "<c>\"");
    EXPECT_EQ(xml_text(xml, "Empty"), "");
    EXPECT_FALSE(xml_text(xml, "Absent"));
    EXPECT_FALSE(xml_text("<Key>never ends", "Key"));
    EXPECT_EQ(xml_escape("a<b>&c"), "a&lt;b&gt;&amp;c");
}

}  // namespace
}  // namespace hearth::aws
