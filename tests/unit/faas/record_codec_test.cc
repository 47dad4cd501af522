#include "faas/record_codec.h"

#include <gtest/gtest.h>

namespace hearth::faas {
namespace {

invocation_record full_record() {
    invocation_record record{.job_id = "job-1",
                             .request_id = "request-1",
                             .function_id = "function-1",
                             .status = invocation_status::dead,
                             .attempts = 3,
                             .created_at = 1'700'000'000'123,
                             .updated_at = 1'700'000'001'456};
    record.end = {.status = invocation_status::failed,
                  .result_json = R"({"a":[1,123456789012345678901234567890,"ü\n"]})",
                  .error_type = "ValueError",
                  .error_message = "a \"quoted\"\nline",
                  .stack_trace_json = R"(["  File \"main.py\""])",
                  .logs = std::string("bytes \xff\0 of any kind\n", 22),
                  .duration_ms = 1.5,
                  .cpu_ms = 1.25,
                  .init_ms = 2.25,
                  .cold_start = true,
                  .memory_mb_peak = 37};
    return record;
}

TEST(record_codec, a_record_comes_back_as_it_was) {
    const auto record = full_record();
    const auto back = decode_record(encode(record));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->job_id, record.job_id);
    EXPECT_EQ(back->request_id, record.request_id);
    EXPECT_EQ(back->function_id, record.function_id);
    EXPECT_EQ(back->status, record.status);
    EXPECT_EQ(back->attempts, record.attempts);
    EXPECT_EQ(back->created_at, record.created_at);
    EXPECT_EQ(back->updated_at, record.updated_at);
    EXPECT_EQ(back->end.status, record.end.status);
    EXPECT_EQ(back->end.result_json, record.end.result_json);
    EXPECT_EQ(back->end.error_type, record.end.error_type);
    EXPECT_EQ(back->end.error_message, record.end.error_message);
    EXPECT_EQ(back->end.stack_trace_json, record.end.stack_trace_json);
    EXPECT_EQ(back->end.logs, record.end.logs);
    EXPECT_EQ(back->end.duration_ms, record.end.duration_ms);
    EXPECT_EQ(back->end.cpu_ms, record.end.cpu_ms);
    EXPECT_EQ(back->end.init_ms, record.end.init_ms);
    EXPECT_EQ(back->end.cold_start, record.end.cold_start);
    EXPECT_EQ(back->end.memory_mb_peak, record.end.memory_mb_peak);
}

TEST(record_codec, every_cut_is_noticed) {
    const auto text = encode(full_record());
    for (std::size_t size = 0; size < text.size(); ++size) {
        const auto cut = decode_record(std::string_view(text).substr(0, size));
        ASSERT_FALSE(cut) << size;
        EXPECT_EQ(cut.error().code, errc::corrupt);
    }
    EXPECT_FALSE(decode_record(text + "x"));
}

TEST(record_codec, what_is_no_json_is_no_result) {
    auto record = full_record();
    record.end.result_json = R"({"a":1},"forged":{})";
    EXPECT_EQ(decode_record(encode(record)).error().code, errc::corrupt);
}

TEST(record_codec, lengths_that_lie_are_refused) {
    auto text = encode(full_record());
    const auto at = text.find("\"resultBytes\":") + 14;
    for (const auto* lie : {"-1", "99999999", "9223372036854775807", "1.5", "null"}) {
        auto forged = text;
        forged.replace(at, forged.find(',', at) - at, lie);
        EXPECT_EQ(decode_record(forged).error().code, errc::corrupt) << lie;
    }
}

}  // namespace
}  // namespace hearth::faas
