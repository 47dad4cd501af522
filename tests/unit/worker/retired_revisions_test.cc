#include "worker/retired_revisions.h"

#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::worker {
namespace {

TEST(retired_revisions, an_update_ends_what_is_older_and_a_deletion_everything) {
    retired_revisions over;
    EXPECT_FALSE(over.contains("one", 1));
    over.add("one", 3);
    EXPECT_TRUE(over.contains("one", 2));
    EXPECT_FALSE(over.contains("one", 3));
    EXPECT_FALSE(over.contains("other", 2));
    over.add("one", 2);
    EXPECT_TRUE(over.contains("one", 2)) << "an update that is announced late takes nothing back";
    over.add("one", 0);
    EXPECT_TRUE(over.contains("one", 1'000));
}

TEST(retired_revisions, remembers_the_latest_functions_only) {
    retired_revisions over;
    for (std::size_t i = 0; i <= retired_revisions::functions_max; ++i) {
        over.add(concat("function-", i), 2);
    }
    EXPECT_EQ(over.size(), retired_revisions::functions_max);
    EXPECT_FALSE(over.contains("function-0", 1));
    EXPECT_TRUE(over.contains("function-1", 1));
}

}  // namespace
}  // namespace hearth::worker
