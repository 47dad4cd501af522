#include "aws/batcher.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "tests/support/test_executor.h"

namespace hearth::aws {
namespace {

using test::soon;

class aws_batcher : public testing::Test {
protected:
    ~aws_batcher() override { stop(); }

    void start(const batch_limits& limits) {
        batches_.emplace(
            [this](const std::vector<std::string>& items, deadline) { return send(items); },
            limits);
        running_.emplace();
        running_->spawn(batches_->run());
        loop_.run_ready_tasks();
    }
    void stop() {
        if (running_) {
            running_->request_stop();
            loop_.run(running_->join());
            running_.reset();
        }
    }
    task<result<std::vector<result<>>>> send(const std::vector<std::string>& items) {
        sent_.push_back(items);
        if (all_fail_) {
            co_return fail(errc::unavailable, "nobody there");
        }
        std::vector<result<>> results;
        for (const auto& each : items) {
            if (each.starts_with("bad")) {
                results.emplace_back(fail(errc::invalid_argument, each));
            } else if (each.starts_with("flaky") && sent_.size() < 3) {
                results.emplace_back(fail(errc::unavailable, each));
            } else {
                results.emplace_back();
            }
        }
        co_return results;
    }
    test::test_loop::pending<result<>> submit(std::string item, deadline until = soon()) {
        const auto bytes = item.size();
        return loop_.start(batches_->submit(std::move(item), bytes, until));
    }

    test::test_executor loop_;
    std::optional<batcher<std::string>> batches_;
    std::optional<scope> running_;
    std::vector<std::vector<std::string>> sent_;
    bool all_fail_ = false;
};

TEST_F(aws_batcher, items_that_come_together_go_together) {
    start({.items_max = 10, .linger = milliseconds(5)});
    std::vector<test::test_loop::pending<result<>>> calls;
    for (int i = 0; i < 25; ++i) {
        calls.push_back(submit(concat(i)));
    }
    for (auto& each : calls) {
        EXPECT_TRUE(each.get());
    }
    ASSERT_EQ(sent_.size(), 3u);
    EXPECT_EQ(sent_[0].size(), 10u);
    EXPECT_EQ(sent_[2].size(), 5u);
    EXPECT_EQ(sent_[0].front(), "0");
}

TEST_F(aws_batcher, an_item_alone_goes_after_a_moment) {
    start({.linger = milliseconds(1)});
    EXPECT_TRUE(submit("alone").get());
    EXPECT_EQ(sent_.size(), 1u);
}

TEST_F(aws_batcher, a_batch_stays_below_its_bytes) {
    start({.bytes_max = 10, .linger = milliseconds(1)});
    auto a = submit("123456");
    auto b = submit("123456");
    auto c = submit("1234");
    auto oversized = submit("12345678901234567890");
    EXPECT_TRUE(a.get());
    EXPECT_TRUE(b.get());
    EXPECT_TRUE(c.get());
    EXPECT_TRUE(oversized.get());
    EXPECT_EQ(sent_, (std::vector<std::vector<std::string>>{
                         {"123456"}, {"123456", "1234"}, {"12345678901234567890"}}));
}

TEST_F(aws_batcher, each_caller_hears_of_its_own_item) {
    start({.linger = milliseconds(1), .round_pause = milliseconds(1)});
    auto good = submit("good");
    auto bad = submit("bad");
    auto flaky = submit("flaky");
    EXPECT_TRUE(good.get());
    const auto refused = bad.get();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "bad");
    EXPECT_TRUE(flaky.get());
    // What succeeded or cannot succeed is not sent again.
    EXPECT_EQ(sent_[1], std::vector<std::string>{"flaky"});
    EXPECT_EQ(batches_->counts().repeated, 2u);
}

TEST_F(aws_batcher, a_call_that_fails_as_a_whole_fails_all_its_items_at_once) {
    start({.linger = milliseconds(1)});
    all_fail_ = true;
    auto a = submit("a");
    auto b = submit("b");
    EXPECT_EQ(a.get().error().code, errc::unavailable);
    EXPECT_EQ(b.get().error().code, errc::unavailable);
    EXPECT_EQ(sent_.size(), 1u);  // the client below has tried again already
}

TEST_F(aws_batcher, an_item_whose_caller_left_is_not_sent) {
    start({.linger = milliseconds(20)});
    auto leaving = submit("leaving");
    auto staying = submit("staying");
    loop_.run_ready_tasks();
    leaving.stop();
    EXPECT_EQ(leaving.get().error().code, errc::cancelled);
    EXPECT_TRUE(staying.get());
    EXPECT_EQ(sent_, (std::vector<std::vector<std::string>>{{"staying"}}));
    EXPECT_EQ(submit("late", test::passed()).get().error().code, errc::deadline_exceeded);
}

TEST_F(aws_batcher, more_items_than_may_wait_are_refused) {
    start({.linger = seconds(10), .waiting_max = 3});
    auto a = submit("a");
    auto b = submit("b");
    auto c = submit("c");
    auto d = submit("d");
    EXPECT_EQ(d.get().error().code, errc::limit_exceeded);
    stop();
    EXPECT_EQ(a.get().error().code, errc::closed);
    EXPECT_EQ(submit("after").get().error().code, errc::closed);
}

}  // namespace
}  // namespace hearth::aws
