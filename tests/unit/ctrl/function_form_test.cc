#include "ctrl/function_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::ctrl {
namespace {

using ::testing::HasSubstr;

struct field_case {
    const char* name;
    std::string text;
    bool taken;
};

class fields : public ::testing::TestWithParam<field_case> {};

TEST_P(fields, are_taken_or_refused_with_a_message_for_the_client) {
    function_form form;
    const auto set = set_field(form, GetParam().name, GetParam().text);
    EXPECT_EQ(set.has_value(), GetParam().taken) << GetParam().name << "=" << GetParam().text;
    if (!set) {
        EXPECT_TRUE(set.error().code == errc::invalid_argument ||
                    set.error().code == errc::too_large);
        EXPECT_THAT(set.error().message, HasSubstr("nvalid "));
    }
}

INSTANTIATE_TEST_SUITE_P(
    name, fields,
    ::testing::Values(field_case{"name", "resize-images_2", true},
                      field_case{"name", std::string(64, 'n'), true}, field_case{"name", "", false},
                      field_case{"name", std::string(65, 'n'), false},
                      field_case{"name", "a b", false}, field_case{"name", "a/b", false},
                      field_case{"name", "\xc3\xa4", false}, field_case{"name", "a\n", false},
                      field_case{"name", std::string("a\0b", 3), false}));
INSTANTIATE_TEST_SUITE_P(
    handler, fields,
    ::testing::Values(
        field_case{"handler", "main.handler", true}, field_case{"handler", "a.b.c", true},
        field_case{"handler", "src/app.run", true}, field_case{"handler", "handler", false},
        field_case{"handler", "", false}, field_case{"handler", ".handler", false},
        field_case{"handler", "main.", false}, field_case{"handler", "a..b", false},
        field_case{"handler", "../main.handler", false},
        field_case{"handler", "/etc/main.handler", false},
        field_case{"handler", "main.sub/handler", false}, field_case{"handler", "a/b", false},
        field_case{"handler", "1a.b", false}, field_case{"handler", "a-b.c", false},
        field_case{"handler", "main.handler()", false},
        field_case{"handler", concat(std::string(126, 'a'), ".b"), true},
        field_case{"handler", concat(std::string(127, 'a'), ".b"), false}));
INSTANTIATE_TEST_SUITE_P(
    numbers, fields,
    ::testing::Values(field_case{"memoryMb", "128", true}, field_case{"memoryMb", "10240", true},
                      field_case{"memoryMb", "127", false}, field_case{"memoryMb", "10241", false},
                      field_case{"memoryMb", "-128", false}, field_case{"memoryMb", "", false},
                      field_case{"memoryMb", " 256", false}, field_case{"memoryMb", "256 ", false},
                      field_case{"memoryMb", "256MB", false},
                      field_case{"memoryMb", "2.5e2", false},
                      field_case{"memoryMb", "0x100", false}, field_case{"memoryMb", "+256", false},
                      field_case{"memoryMb", "99999999999999999999", false},
                      field_case{"timeoutMs", "100", true}, field_case{"timeoutMs", "900000", true},
                      field_case{"timeoutMs", "99", false},
                      field_case{"timeoutMs", "900001", false}, field_case{"revision", "1", true},
                      field_case{"revision", "0", false}));
INSTANTIATE_TEST_SUITE_P(
    others, fields,
    ::testing::Values(
        field_case{"runtime", "python", true}, field_case{"runtime", "nodejs", false},
        field_case{"env", "{}", true}, field_case{"env", R"({"A":"1","_b2":""})", true},
        field_case{"env", R"({"A":1})", false}, field_case{"env", R"(["A"])", false},
        field_case{"env", R"({"":"1"})", false}, field_case{"env", R"({"A=B":"1"})", false},
        field_case{"env", R"({"1A":"1"})", false}, field_case{"env", R"({"A":"\u0000"})", false},
        field_case{"env", "{", false}, field_case{"env", "", false},
        field_case{"env", concat(R"({"A":")", std::string(4095, 'x'), "\"}"), true},
        field_case{"env", concat(R"({"A":")", std::string(4096, 'x'), "\"}"), false}));

TEST(function_form, says_the_bounds_of_memory_as_the_api_documents_them) {
    function_form form;
    const auto set = set_field(form, "memoryMb", "64");
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().message, "Invalid memoryMb. Must be between 128 and 10240.");
}

TEST(function_form, an_unknown_field_is_refused_by_name) {
    function_form form;
    const auto set = set_field(form, "memoryMB", "128");
    ASSERT_FALSE(set);
    EXPECT_THAT(set.error().message, HasSubstr("memoryMB"));
    EXPECT_FALSE(set_field(form, "functionId", "x"));
}

TEST(json_form, takes_strings_integers_and_an_object_for_env) {
    const auto form = parse_json_form(
        R"({"name":"n","memoryMb":256,"timeoutMs":"5000","env":{"A":"ü"},"revision":3})");
    ASSERT_TRUE(form) << form.error().message;
    EXPECT_EQ(form->name, "n");
    EXPECT_EQ(form->memory_mb, 256);
    EXPECT_EQ(form->timeout_ms, 5000);
    EXPECT_EQ(form->expected_revision, 3);
    EXPECT_EQ(form->env, (faas::environment{{"A", "ü"}}));
    EXPECT_FALSE(form->upload || form->handler || form->runtime);
}

TEST(json_form, what_is_absent_stays_absent) {
    const auto form = parse_json_form("{}");
    ASSERT_TRUE(form);
    EXPECT_FALSE(form->name || form->memory_mb || form->timeout_ms || form->env);
}

TEST(json_form, refuses_everything_else) {
    for (const auto* body :
         {"", "null", "[]", "\"x\"", "{", "{} {}", R"({"name":null})", R"({"name":["a"]})",
          R"({"memoryMb":256.5})", R"({"memoryMb":true})", R"({"memoryMb":1e400})",
          R"({"memoryMb":18446744073709551615})", R"({"env":"A=1"})", R"({"file":"x"})",
          R"({"unknown":1})", "{\"name\":\"\xff\"}"}) {
        const auto form = parse_json_form(body);
        ASSERT_FALSE(form) << body;
        EXPECT_EQ(form.error().code, errc::invalid_argument) << body;
    }
}

}  // namespace
}  // namespace hearth::ctrl
