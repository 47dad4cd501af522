#include "faas/invocation.h"

#include <gtest/gtest.h>

namespace hearth::faas {
namespace {

TEST(invocation_status, has_a_name_that_reads_back) {
    for (const auto each :
         {invocation_status::queued, invocation_status::running, invocation_status::succeeded,
          invocation_status::failed, invocation_status::dead}) {
        invocation_status read = invocation_status::queued;
        ASSERT_TRUE(status_from_string(to_string(each), read));
        EXPECT_EQ(read, each);
    }
}

TEST(invocation_status, unknown_names_change_nothing) {
    for (const auto* text : {"", "succeeded", "SUCCEEDED ", "LOST"}) {
        invocation_status read = invocation_status::dead;
        EXPECT_FALSE(status_from_string(text, read)) << text;
        EXPECT_EQ(read, invocation_status::dead);
    }
}

TEST(invocation_status, only_succeeded_failed_and_dead_are_final) {
    EXPECT_FALSE(is_final(invocation_status::queued));
    EXPECT_FALSE(is_final(invocation_status::running));
    EXPECT_TRUE(is_final(invocation_status::succeeded));
    EXPECT_TRUE(is_final(invocation_status::failed));
    EXPECT_TRUE(is_final(invocation_status::dead));
}

}  // namespace
}  // namespace hearth::faas
