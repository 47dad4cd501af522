#include "aws/job_message.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hearth::aws {
namespace {

job_message message_with(std::string event) {
    return {.content = {.job_id = "job-1",
                        .request_id = "request-1",
                        .function_id = "function-1",
                        .event = std::move(event),
                        .caller_deadline = 1'700'000'000'000},
            .attempts_before = 2,
            .event_blob = "events/x",
            .settled = true};
}

TEST(aws_job_message, every_field_survives) {
    const auto sent = message_with(R"({"a":"ü \n","b":[1,2.50]})");
    const auto got = decode_job_message(encode(sent));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->content.job_id, "job-1");
    EXPECT_EQ(got->content.request_id, "request-1");
    EXPECT_EQ(got->content.function_id, "function-1");
    EXPECT_EQ(got->content.event, sent.content.event);
    EXPECT_EQ(got->content.caller_deadline, 1'700'000'000'000);
    EXPECT_EQ(got->attempts_before, 2);
    EXPECT_EQ(got->event_blob, "events/x");
    EXPECT_TRUE(got->settled);
}

TEST(aws_job_message, what_sqs_refuses_is_escaped_and_means_the_same) {
    // U+1F600, U+FFFE, U+FFFF, and U+FFFD, which is allowed.
    const std::string event = "\"\xF0\x9F\x98\x80 \xEF\xBF\xBE\xEF\xBF\xBF\xEF\xBF\xBD\"";
    const auto got = decode_job_message(encode(message_with(event)));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->content.event, "\"\\ud83d\\ude00 \\ufffe\\uffff\xEF\xBF\xBD\"");
    EXPECT_EQ(json::unescape_string(got->content.event).value(),
              json::unescape_string(event).value());
}

TEST(aws_job_message, anything_else_is_corrupt) {
    const auto good = encode(message_with("{}"));
    for (const std::string& body :
         {std::string(), std::string("{}"), std::string("{}\n"), good + " ",
          good.substr(0, good.size() - 1), "{\"v\":2" + good.substr(6), "\n" + good}) {
        const auto got = decode_job_message(body);
        ASSERT_FALSE(got) << body;
        EXPECT_EQ(got.error().code, errc::corrupt);
    }
}

}  // namespace
}  // namespace hearth::aws
