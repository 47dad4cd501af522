#include "ctrl/json_views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::ctrl {
namespace {

using faas::invocation_status;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string body_of(const http::response& shown) {
    std::string text;
    for (std::size_t i = 0; i < shown.part_count(); ++i) {
        text += shown.part(i);
    }
    EXPECT_TRUE(json::validate(text)) << text;
    return text;
}

faas::outcome success(std::string result) {
    faas::outcome end;
    end.status = invocation_status::succeeded;
    end.result_json = std::move(result);
    return end;
}

TEST(run_response, shows_the_result_as_the_function_gave_it) {
    auto end = success(R"({"n": 12345678901234567890123, "f": 1.10})");
    end.logs = "line\n\"quoted\" \x01";
    end.duration_ms = 1.5;
    end.cold_start = true;
    const auto text = body_of(run_response("job-1", "request-1", "function-1", std::move(end)));
    EXPECT_THAT(text, AllOf(HasSubstr(R"("jobId":"job-1")"), HasSubstr(R"("status":"SUCCEEDED")"),
                            HasSubstr(R"("requestId":"request-1")"),
                            HasSubstr(R"("functionId":"function-1")"),
                            HasSubstr(R"("coldStart":true)"), HasSubstr(R"("durationMs":1.5)"),
                            HasSubstr(R"("result":{"n": 12345678901234567890123, "f": 1.10})"),
                            Not(HasSubstr("\"error\""))));
}

TEST(run_response, shows_an_error_without_a_result) {
    faas::outcome end;
    end.status = invocation_status::failed;
    end.error_type = "Value\"Error";
    end.error_message = "bad\nnews";
    end.stack_trace_json = R"(["a","b"])";
    const auto text = body_of(run_response("j", "r", "f", std::move(end)));
    EXPECT_THAT(text, AllOf(HasSubstr(R"("status":"FAILED")"),
                            HasSubstr(R"("error":{"type":"Value\"Error","message":"bad\nnews",)"
                                      R"("stackTrace":["a","b"]})"),
                            Not(HasSubstr("\"result\""))));
}

TEST(run_response, stays_valid_json_whatever_text_it_shows) {
    faas::outcome end;
    end.status = invocation_status::failed;
    end.error_type = "\xff\xfe";
    end.error_message = std::string("\0\"\\", 3);
    end.logs = "</script>\xed\xa0\x80";
    EXPECT_FALSE(body_of(run_response("\xff", "\"", "\\", std::move(end))).empty());
}

TEST(status_response, of_an_unfinished_job_has_neither_result_nor_error) {
    for (const auto each : {invocation_status::queued, invocation_status::running}) {
        faas::invocation_record record;
        record.job_id = "job-1";
        record.status = each;
        record.attempts = 2;
        const auto text = body_of(status_response(std::move(record)));
        EXPECT_THAT(text,
                    AllOf(HasSubstr(std::string(R"("status":")") + std::string(to_string(each))),
                          HasSubstr(R"("attempts":2)"), Not(HasSubstr("result")),
                          Not(HasSubstr("error")), Not(HasSubstr("logs"))));
    }
}

TEST(status_response, of_a_dead_job_shows_its_last_error) {
    faas::invocation_record record;
    record.status = invocation_status::dead;
    record.attempts = 3;
    record.end.status = invocation_status::dead;
    record.end.error_type = "KeyError";
    EXPECT_THAT(body_of(status_response(std::move(record))),
                AllOf(HasSubstr(R"("status":"DEAD")"), HasSubstr(R"("type":"KeyError")")));
}

TEST(status_response, of_a_success_shows_its_result) {
    faas::invocation_record record;
    record.status = invocation_status::succeeded;
    record.end = success("[1,2]");
    EXPECT_THAT(body_of(status_response(std::move(record))), HasSubstr(R"("result":[1,2])"));
}

TEST(function_view, has_exactly_the_documented_members_and_no_environment) {
    faas::function shown;
    shown.id = "id-1";
    shown.name = "n";
    shown.runtime = "python";
    shown.handler = "main.handler";
    shown.env = {{"SECRET", "hidden"}};
    shown.code_sha256 = "aa";
    shown.created_at = 0;
    json::writer out;
    write_function(out, shown);
    EXPECT_EQ(out.view(),
              R"({"functionId":"id-1","name":"n","runtime":"python","handler":"main.handler",)"
              R"("memoryMb":128,"timeoutMs":30000,"codeSha256":"aa","codeSize":0,"revision":1,)"
              R"("createdAt":"1970-01-01T00:00:00.000Z","updatedAt":"1970-01-01T00:00:00.000Z"})");
}

}  // namespace
}  // namespace hearth::ctrl
