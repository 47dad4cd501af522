#include "ctrl/queued_invoker.h"

#include <gtest/gtest.h>

#include "ctrl/calls.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/unit/worker/scripted_invoker.h"
#include "worker/intake.h"

// Real queue, log and bus; the worker's end is the real intake with a scripted invoker behind it.

namespace hearth::ctrl {
namespace {

using faas::invocation_status;
using test::scripted_invoker;
using test::soon;

// The bus of a Redis that can be away: then nothing is heard and nothing told.
class shaky_bus final : public faas::result_bus {
public:
    bool up = true;
    bool carries_nothing = false;  // every outcome is too large for it
    int refused = 0;

    task<result<>> publish(const faas::invocation_record& record, epoch_ms awaited_until,
                           deadline until) override {
        if (!up) {
            co_return fail(errc::unavailable, "Redis is away");
        }
        co_return co_await real_.publish(record, awaited_until, until);
    }
    task<result<faas::invocation_record>> wait(std::string_view job_id, deadline until) override {
        if (!up) {
            ++refused;
            co_return fail(errc::unavailable, "Redis is away");
        }
        auto heard = co_await real_.wait(job_id, until);
        if (heard && carries_nothing) {
            co_return fail(errc::too_large, "the outcome is in the invocation log alone");
        }
        co_return heard;
    }
    [[nodiscard]] bool is_up() const noexcept override { return up; }

private:
    embedded::result_bus real_;
};

class queued_invoker_test : public test::embedded_fixture, public ::testing::Test {
protected:
    void SetUp() override {
        target_->id = "function-1";
        target_->name = "probe";
        target_->runtime = "python";
        target_->handlers = {"main.handler"};
        target_->handler = "main.handler";
        target_->code_file = "main.py";
        target_->code_sha256 = std::string(64, 'a');
        ASSERT_TRUE(loop_.run(table_.create(*target_, soon())));
    }
    void TearDown() override { stop_worker(); }

    faas::invocation call(const std::string& job_id) {
        return {.job_id = job_id, .request_id = "request-1", .target = target_, .event = "[1]"};
    }
    void start_worker() {
        intake_ = std::make_unique<worker::job_intake>(
            queue_, table_, log_, bus_, worker_,
            worker::intake_options{.poll = milliseconds(20), .retry_base = milliseconds(4)});
        running_.emplace(loop_.start(intake_->run()));
    }
    void stop_worker() {
        if (running_) {
            intake_->stop_receiving();
            running_->get();
            running_.reset();
        }
    }
    faas::invocation_record record_of(const std::string& job_id) {
        return loop_.run(log_.get(job_id, soon())).value_or(faas::invocation_record{});
    }

    std::shared_ptr<faas::function> target_ = std::make_shared<faas::function>();
    embedded::function_table table_{*database_};
    embedded::job_queue queue_{*database_};
    embedded::invocation_log log_{*database_};
    shaky_bus bus_;
    scripted_invoker worker_;
    std::vector<std::pair<std::string, std::int64_t>> retired_;
    queued_invoker invoker_{
        queue_,
        log_,
        bus_,
        [this](std::string_view id, std::int64_t revision) { retired_.emplace_back(id, revision); },
        {.look_min = milliseconds(1), .look_max = milliseconds(4)}};
    std::unique_ptr<worker::job_intake> intake_;
    std::optional<test::test_loop::pending<void>> running_;
};

TEST_F(queued_invoker_test, a_call_returns_what_the_worker_recorded) {
    worker_.script = [](const faas::invocation& asked) -> task<result<faas::outcome>> {
        co_return scripted_invoker::succeeding(asked.event);
    };
    start_worker();
    const auto end = loop_.run(invoker_.invoke(call("job-1"), soon()));
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->status, invocation_status::succeeded);
    EXPECT_EQ(end->result_json, "[1]");
    EXPECT_TRUE(end->recorded);
    EXPECT_EQ(record_of("job-1").status, invocation_status::succeeded);
    EXPECT_EQ(invoker_.statistics().looks, 0u);
}

TEST_F(queued_invoker_test, a_failure_is_an_answer_and_not_tried_again) {
    worker_.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return scripted_invoker::failing("ValueError");
    };
    start_worker();
    const auto end = loop_.run(invoker_.invoke(call("job-1"), soon()));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->status, invocation_status::failed);
    EXPECT_EQ(end->error_type, "ValueError");
    stop_worker();
    EXPECT_EQ(worker_.job_ids.size(), 1u);
    EXPECT_EQ(loop_.run(queue_.measure(soon()))->dead, 0);
}

TEST_F(queued_invoker_test, without_the_bus_the_record_is_looked_for) {
    bus_.up = false;
    start_worker();
    const auto end = loop_.run(invoker_.invoke(call("job-1"), soon()));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->status, invocation_status::succeeded);
    EXPECT_EQ(invoker_.statistics().found_by_log, 1u);
}

TEST_F(queued_invoker_test, an_outcome_that_is_too_large_for_the_bus_is_read_from_the_log) {
    bus_.carries_nothing = true;
    start_worker();
    const auto end = loop_.run(invoker_.invoke(call("job-1"), soon()));
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->status, invocation_status::succeeded);
    EXPECT_EQ(invoker_.statistics().found_by_log, 1u);
}

TEST_F(queued_invoker_test, when_the_deadline_passes_first_the_outcome_is_open_and_not_ours) {
    const auto end = loop_.run(invoker_.invoke(call("job-1"), after(milliseconds(300))));
    ASSERT_TRUE(end);
    EXPECT_FALSE(faas::is_final(end->status));
    EXPECT_TRUE(end->recorded);
    EXPECT_EQ(record_of("job-1").status, invocation_status::queued);
    EXPECT_EQ(invoker_.statistics().given_up, 1u);
}

TEST_F(queued_invoker_test, what_nobody_waits_for_any_more_is_not_begun) {
    ASSERT_TRUE(loop_.run(invoker_.invoke(call("job-1"), after(milliseconds(300)))));
    start_worker();
    loop_.run_until([&] { return intake_->statistics().failed == 1; });
    EXPECT_TRUE(worker_.job_ids.empty());
    EXPECT_EQ(record_of("job-1").status, invocation_status::failed);
    EXPECT_EQ(record_of("job-1").end.error_type, faas::error_type::start_failed);
}

TEST_F(queued_invoker_test,
       calls_tells_its_caller_of_the_deadline_and_writes_no_outcome_of_its_own) {
    calls all(invoker_, log_, queue_);
    const auto end = loop_.run(all.run(call("job-1"), after(milliseconds(300))));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, errc::deadline_exceeded);
    loop_.run(all.finish());
    EXPECT_EQ(loop_.run(all.status("job-1", soon()))->status, invocation_status::queued);
    start_worker();
    loop_.run_until([&] { return intake_->statistics().failed == 1; });
    EXPECT_EQ(loop_.run(all.status("job-1", soon()))->status, invocation_status::failed);
}

TEST_F(queued_invoker_test, tells_of_what_is_retired) {
    invoker_.retire("function-1", 2);
    const std::vector<std::pair<std::string, std::int64_t>> expected{{"function-1", 2}};
    EXPECT_EQ(retired_, expected);
}

}  // namespace
}  // namespace hearth::ctrl
