#include "faas/failure.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace hearth::faas {
namespace {

TEST(failure, every_kind_has_a_label_of_its_own) {
    std::set<std::string> labels;
    for (int i = 0; i <= static_cast<int>(failure_kind_last); ++i) {
        const std::string label(to_string(static_cast<failure_kind>(i)));
        EXPECT_NE(label, "?");
        EXPECT_TRUE(labels.insert(label).second) << label;
    }
}

TEST(failure, what_hearth_found_out_is_told_by_its_type) {
    EXPECT_EQ(kind_of(error_type::timed_out), failure_kind::timeout);
    EXPECT_EQ(kind_of(error_type::policy_violation), failure_kind::policy);
    EXPECT_EQ(kind_of(error_type::start_failed), failure_kind::host);
}

TEST(failure, a_function_cannot_report_what_only_hearth_finds_out) {
    for (const auto type : {error_type::timed_out, error_type::out_of_memory, error_type::crashed,
                            error_type::policy_violation, error_type::protocol_violation,
                            error_type::crash_loop, error_type::start_failed}) {
        EXPECT_EQ(kind_of_reported(type, false), failure_kind::handler_error) << type;
    }
}

TEST(failure, what_fails_while_importing_is_told_from_what_the_handler_raises) {
    EXPECT_EQ(kind_of_reported("ValueError", true), failure_kind::import_error);
    EXPECT_EQ(kind_of_reported("ValueError", false), failure_kind::handler_error);
    EXPECT_EQ(kind_of_reported(error_type::handler_missing, true), failure_kind::handler_missing);
    EXPECT_EQ(kind_of_reported(error_type::response_too_large, false),
              failure_kind::result_too_large);
}

}  // namespace
}  // namespace hearth::faas
