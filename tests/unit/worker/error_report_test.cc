#include "worker/error_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::worker {
namespace {

using faas::invocation_status;
using ::testing::HasSubstr;

TEST(checked_result, keeps_one_valid_json_value_as_it_is) {
    for (const auto* text :
         {"null", " {\"a\": 1e400} ", "123456789012345678901234567890", "\"\\u0000\"", "[]"}) {
        const auto end = checked_result(text);
        EXPECT_EQ(end.status, invocation_status::succeeded) << text;
        EXPECT_EQ(end.result_json, text);
    }
}

TEST(checked_result, anything_else_is_a_protocol_violation) {
    for (const std::string& text :
         {std::string(), std::string("NaN"), std::string("{} {}"), std::string("{\"a\":1"),
          std::string("\"\xff\""), std::string("\"a\0b\"", 5), std::string("\"a\nb\""),
          std::string(100'000, '['), std::string("'single'")}) {
        const auto end = checked_result(text);
        EXPECT_EQ(end.status, invocation_status::failed) << text.substr(0, 40);
        EXPECT_EQ(end.error_type, faas::error_type::protocol_violation);
        EXPECT_EQ(end.result_json, "");
    }
}

TEST(reported_failure, takes_type_message_and_trace_of_the_documented_shape) {
    const auto end =
        reported_failure(R"({"errorMessage":"no \"x\"","errorType":"KeyError","requestId":"r",)"
                         R"("stackTrace":["line 1","line 2"]})");
    EXPECT_EQ(end.status, invocation_status::failed);
    EXPECT_EQ(end.error_type, "KeyError");
    EXPECT_EQ(end.error_message, "no \"x\"");
    EXPECT_EQ(end.stack_trace_json, R"(["line 1","line 2"])");
}

TEST(reported_failure, message_and_trace_may_be_missing) {
    const auto end = reported_failure(R"({"errorType":"E"})");
    EXPECT_EQ(end.error_type, "E");
    EXPECT_EQ(end.error_message, "");
    EXPECT_EQ(end.stack_trace_json, "[]");
}

TEST(reported_failure, hostile_shapes_are_protocol_violations_with_a_sound_trace) {
    const std::string long_type(300, 'T');
    for (const std::string& text :
         {std::string(), std::string("null"), std::string("[]"), std::string("{}"),
          std::string(R"({"errorType":1})"), std::string(R"({"errorType":null})"),
          std::string(R"({"errorType":""})"), std::string(R"({"errorType":{"errorType":"x"}})"),
          std::string(R"({"errorType":"E","errorMessage":[]})"),
          std::string(R"({"errorType":"E","stackTrace":"]}"})"),
          std::string(R"({"errorType":"E","stackTrace":{}})"),
          std::string(R"({"errorType":"E","errorType":"F"})"),
          std::string(R"({"errorType":"E"} trailing)"), std::string("{\"errorType\":\"\xff\"}"),
          concat(R"({"errorType":")", long_type, "\"}"),
          concat(R"({"errorType":"E","stackTrace":)", std::string(10'000, '['), "}")}) {
        const auto end = reported_failure(text);
        EXPECT_EQ(end.error_type, faas::error_type::protocol_violation) << text.substr(0, 60);
        EXPECT_EQ(end.status, invocation_status::failed);
        EXPECT_TRUE(json::validate(end.stack_trace_json)) << end.stack_trace_json;
    }
}

TEST(init_parameters, carry_the_function_as_the_runtime_sees_it) {
    faas::function target;
    target.id = "id-1";
    target.name = "resize";
    target.handlers = {"main.handler", "lambda_function.lambda_handler"};
    target.memory_mb = 512;
    target.revision = 7;
    target.env = {{"A", "1"}};
    const auto parameters = init_parameters_of(target);
    EXPECT_EQ(parameters.handlers, target.handlers);
    EXPECT_EQ(parameters.function_name, "resize");
    EXPECT_EQ(parameters.function_version, "7");
    EXPECT_THAT(parameters.function_arn, HasSubstr("id-1"));
    EXPECT_EQ(parameters.memory_mb, 512u);
    EXPECT_EQ(parameters.environment, target.env);
    EXPECT_TRUE(sandbox::encode_init_frame(1, parameters));
}

}  // namespace
}  // namespace hearth::worker
