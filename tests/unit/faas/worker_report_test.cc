#include "faas/worker_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"

namespace hearth::faas {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

worker_report full_report() {
    return {.id = "worker-1",
            .host = "ip-10-0-0-7",
            .version = "0.1.0",
            .draining = true,
            .sandboxes_max = 64,
            .sandboxes_busy = 3,
            .sandboxes_idle = 5,
            .calls_waiting = 1,
            .memory_budget_mb = 4096,
            .memory_reserved_mb = 1024,
            .warm_functions = {"function-1", "function-2"}};
}

TEST(worker_report, comes_back_as_it_was) {
    const auto back = parse_worker_report(to_json(full_report()));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(to_json(*back), to_json(full_report()));
    EXPECT_EQ(back->memory_reserved_mb, 1024);
    EXPECT_TRUE(back->draining);
    EXPECT_THAT(back->warm_functions, ElementsAre("function-1", "function-2"));
}

TEST(worker_report, what_is_missing_or_wrong_is_named) {
    const auto good = to_json(full_report());
    const auto refused = [&](std::string_view from, std::string_view to, std::string_view member) {
        auto text = good;
        const auto at = text.find(from);
        ASSERT_NE(at, std::string::npos) << from;
        text.replace(at, from.size(), to);
        const auto parsed = parse_worker_report(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, errc::invalid_argument);
        EXPECT_THAT(parsed.error().message, HasSubstr(member));
    };
    refused("\"id\":\"worker-1\"", "\"id\":\"a b\"", "id");
    refused("\"id\":", "\"other\":", "id");
    refused("\"ip-10-0-0-7\"", concat('"', std::string(129, 'x'), '"'), "host");
    refused("\"draining\":true", "\"draining\":1", "draining");
    refused("\"sandboxesMax\":64", "\"sandboxesMax\":-1", "sandboxesMax");
    refused("\"callsWaiting\":1", "\"callsWaiting\":1.5", "callsWaiting");
    refused("[\"function-1\"", "[7", "warmFunctions");
    EXPECT_FALSE(parse_worker_report("[]"));
    EXPECT_FALSE(parse_worker_report(""));
}

TEST(worker_report, no_more_warm_functions_are_told_than_are_taken) {
    auto report = full_report();
    report.warm_functions.assign(warm_functions_max + 10, std::string(64, 'f'));
    const auto text = to_json(report);
    EXPECT_LT(text.size(), worker_report_bytes_max);
    const auto back = parse_worker_report(text);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->warm_functions.size(), warm_functions_max);
}

}  // namespace
}  // namespace hearth::faas
