// What the job queue on SQS does beyond its port's promises.

#include <set>

#include <gtest/gtest.h>

#include "tests/port/aws/fixtures.h"

namespace hearth::test {
namespace {

class aws_job_queue : public testing::Test {
protected:
    void SetUp() override {
        if (const auto missing = aws_queue_fixture::missing(); !missing.empty()) {
            GTEST_SKIP() << missing;
        }
        home_.emplace();
    }
    static faas::job make_job(std::string_view id, std::string event = "{}") {
        return {std::string(id), concat("request-", id), "function-1", std::move(event)};
    }
    template <class T>
    T run(task<T> work) {
        return home_->loop().run(std::move(work));
    }
    faas::job_delivery take_one(milliseconds visibility = seconds(60)) {
        auto got = run(home_->port().receive(1, visibility, soon()));
        EXPECT_TRUE(got && got->size() == 1);
        return got && got->size() == 1 ? std::move(got->front()) : faas::job_delivery{};
    }
    std::vector<std::string> blobs() {
        return run(home_->bucket().list("events/", "", 1000, soon())).value();
    }

    std::optional<aws_queue_fixture> home_;
};

TEST_F(aws_job_queue, an_event_that_is_too_large_for_a_message_goes_through_the_bucket) {
    const std::string event = "\"" + std::string(3u << 20, 'x') + "\"";
    ASSERT_TRUE(run(home_->port().enqueue(make_job("large", event), soon())));
    EXPECT_EQ(blobs().size(), 1u);
    const auto got = take_one();
    EXPECT_EQ(got.content.event, event);
    ASSERT_TRUE(run(home_->port().release(got.receipt, milliseconds(0), false, soon())));
    const auto again = take_one();
    EXPECT_EQ(again.content.event, event);
    EXPECT_EQ(again.attempts, 1);
    ASSERT_TRUE(run(home_->port().acknowledge(again.receipt, soon())));
    for (int i = 0; i < 200 && !blobs().empty(); ++i) {
        home_->pass(milliseconds(10));  // it is removed behind the caller's back
    }
    EXPECT_TRUE(blobs().empty());
}

TEST_F(aws_job_queue, a_job_whose_event_is_gone_is_dead_and_says_so) {
    const std::string event = "\"" + std::string(300u << 10, 'x') + "\"";
    ASSERT_TRUE(run(home_->port().enqueue(make_job("lost", event), soon())));
    ASSERT_TRUE(run(home_->bucket().remove(blobs().front(), soon())));
    const auto got = run(home_->port().receive(1, seconds(60), after(milliseconds(1500))));
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->empty());
    const auto dead = run(home_->port().unsettled_dead(10, soon()));
    ASSERT_TRUE(dead);
    ASSERT_EQ(dead->size(), 1u);
    EXPECT_EQ(dead->front().job_id, "lost");
}

TEST_F(aws_job_queue, many_sends_are_few_requests) {
    const auto before = home_->sqs().counts().calls;
    std::vector<faas::job> jobs;
    jobs.reserve(100);
    for (int i = 0; i < 100; ++i) {
        jobs.push_back(make_job(concat("job-", i)));
    }
    std::vector<test_loop::pending<result<>>> sends;
    sends.reserve(jobs.size());
    for (const auto& each : jobs) {
        sends.push_back(home_->loop().start(home_->port().enqueue(each, soon())));
    }
    for (auto& each : sends) {
        EXPECT_TRUE(each.get());
    }
    EXPECT_LE(home_->sqs().counts().calls - before, 12u);
    EXPECT_EQ(run(home_->port().measure(soon()))->visible, 100);
}

TEST_F(aws_job_queue, a_job_that_comes_when_nobody_waits_any_more_returns_uncounted) {
    auto leaving = home_->loop().start(home_->port().receive(1, seconds(60), soon()));
    home_->loop().run_until([&] { return home_->port().counts().polls == 1; });
    leaving.stop();
    EXPECT_EQ(leaving.get().error().code, errc::cancelled);
    ASSERT_TRUE(run(home_->port().enqueue(make_job("job-1"), soon())));
    const auto got = take_one();
    EXPECT_EQ(got.content.job_id, "job-1");
    EXPECT_EQ(got.attempts, 1);
}

TEST_F(aws_job_queue, a_wait_of_whole_seconds_for_nothing_is_one_request) {
    const auto before = home_->sqs().counts().attempts;
    const auto got = run(home_->port().receive(1, seconds(60), after(seconds(2))));
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->empty());
    EXPECT_EQ(home_->sqs().counts().attempts - before, 1u);
}

TEST_F(aws_job_queue, after_the_polls_are_finished_no_job_is_on_its_way_to_nobody) {
    auto leaving =
        home_->loop().start(home_->port().receive(1, seconds(60), after(milliseconds(2500))));
    home_->loop().run_until([&] { return home_->port().counts().polls == 1; });
    leaving.stop();
    EXPECT_EQ(leaving.get().error().code, errc::cancelled);
    const auto cut_off = run(home_->port().finish_polls(after(milliseconds(1))));
    ASSERT_FALSE(cut_off);
    EXPECT_EQ(cut_off.error().code, errc::deadline_exceeded);
    // It comes on the poll that nobody waits for, and is returned before that counts as finished.
    ASSERT_TRUE(run(home_->port().enqueue(make_job("job-1"), soon())));
    ASSERT_TRUE(run(home_->port().finish_polls(soon())));
    EXPECT_EQ(run(home_->port().measure(soon()))->visible, 1);
}

TEST_F(aws_job_queue, what_is_no_job_goes_to_the_dead_letters_and_is_not_met_again) {
    home_->ask_json(home_->sqs(), "SendMessage",
                    concat(R"({"QueueUrl":")", home_->queue_url(), R"(","MessageBody":"hello"})"));
    ASSERT_TRUE(run(home_->port().enqueue(make_job("job-1"), soon())));
    EXPECT_EQ(take_one().content.job_id, "job-1");
    for (int i = 0; i < 200 && home_->port().counts().not_understood == 0; ++i) {
        EXPECT_TRUE(run(home_->port().receive(1, seconds(60), after(milliseconds(20)))));
    }
    const auto depth = run(home_->port().measure(soon()));
    ASSERT_TRUE(depth);
    EXPECT_EQ(depth->dead, 1);
    EXPECT_EQ(depth->visible, 0);
    EXPECT_TRUE(run(home_->port().unsettled_dead(10, soon()))->empty());
}

TEST_F(aws_job_queue, jobs_that_the_queues_own_policy_moved_are_found_among_the_dead) {
    home_.reset();
    home_.emplace("3");
    ASSERT_TRUE(run(home_->port().enqueue(make_job("job-1"), soon())));
    for (std::int64_t attempt = 1; attempt <= faas::attempts_max; ++attempt) {
        EXPECT_EQ(take_one(seconds(1)).attempts, attempt);
        home_->pass(milliseconds(1100));
    }
    EXPECT_TRUE(run(home_->port().receive(1, seconds(1), after(milliseconds(20))))->empty());
    const auto dead = run(home_->port().unsettled_dead(10, soon()));
    ASSERT_TRUE(dead);
    ASSERT_EQ(dead->size(), 1u);
    ASSERT_TRUE(run(home_->port().settle_dead("job-1", soon())));
    EXPECT_TRUE(run(home_->port().settle_dead("job-1", soon())));
    EXPECT_TRUE(run(home_->port().unsettled_dead(10, soon()))->empty());
    EXPECT_EQ(run(home_->port().measure(soon()))->dead, 1);
}

TEST_F(aws_job_queue, an_unsettled_dead_letter_is_found_among_many_settled_ones) {
    for (int i = 0; i < 15; ++i) {
        ASSERT_TRUE(run(home_->port().enqueue(make_job(concat("job-", i)), soon())));
        ASSERT_TRUE(run(home_->port().bury(take_one().receipt, soon())));
    }
    aws::job_message unsettled{.content = make_job("needle"), .event_blob = {}};
    json::writer out;
    out.begin_object();
    out.member("QueueUrl", home_->dead_letter_url());
    out.member("MessageBody", aws::encode(unsettled));
    out.end_object();
    home_->ask_json(home_->sqs(), "SendMessage", std::move(out).take());
    const auto dead = run(home_->port().unsettled_dead(10, soon()));
    ASSERT_TRUE(dead);
    ASSERT_EQ(dead->size(), 1u);
    EXPECT_EQ(dead->front().job_id, "needle");
    EXPECT_TRUE(run(home_->port().settle_dead("job-3", soon()))) << "bury() has settled it";
    EXPECT_EQ(run(home_->port().settle_dead("absent", soon())).error().code, errc::not_found);
}

TEST_F(aws_job_queue, a_wrong_queue_is_unavailable_and_named) {
    aws::blobs none(home_->bucket(), "events/");
    aws::job_queue wrong(home_->sqs(), none,
                         {.queue_url = "http://sqs.us-east-1.localhost/000000000000/absent",
                          .dead_letter_url = home_->dead_letter_url()});
    const auto measured = run(wrong.measure(soon()));
    ASSERT_FALSE(measured);
    EXPECT_EQ(measured.error().code, errc::unavailable);
    EXPECT_TRUE(measured.error().message.contains("QueueDoesNotExist"));
}

}  // namespace
}  // namespace hearth::test
