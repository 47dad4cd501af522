#include "ctrl/retirements.h"

#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::ctrl {
namespace {

std::string told(retirements& from, steady_time now) {
    json::writer out;
    out.begin_object();
    from.write(out, now);
    out.end_object();
    return std::move(out).take();
}

TEST(retirements, are_told_for_as_long_as_they_are_kept_and_no_longer) {
    const auto start = steady_clock::now();
    retirements kept(seconds(30));
    kept.add("a", 2, start);
    kept.add("b", 0, start + seconds(10));
    EXPECT_EQ(told(kept, start + seconds(30)),
              R"({"retired":[{"functionId":"a","currentRevision":2},)"
              R"({"functionId":"b","currentRevision":0}]})");
    EXPECT_EQ(told(kept, start + seconds(31)),
              R"({"retired":[{"functionId":"b","currentRevision":0}]})");
    EXPECT_EQ(told(kept, start + seconds(41)), R"({"retired":[]})");
}

TEST(retirements, beyond_the_limit_the_oldest_is_forgotten) {
    const auto now = steady_clock::now();
    retirements kept(seconds(30));
    for (std::size_t i = 0; i <= retirements::kept_max; ++i) {
        kept.add(concat("function-", i), 1, now);
    }
    const auto text = told(kept, now);
    EXPECT_FALSE(text.contains("\"function-0\""));
    EXPECT_TRUE(text.contains("\"function-1\""));
    EXPECT_TRUE(text.contains(concat("\"function-", retirements::kept_max, '"')));
}

}  // namespace
}  // namespace hearth::ctrl
