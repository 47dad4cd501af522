#include <sys/socket.h>

#include "tests/integration/lane/lane_fixture.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/unit/worker/spying_ports.h"
#include "worker/lane_recorder.h"

// Calls that outlive their lane: who records how they ended.

namespace hearth {
namespace {

using test::soon;

class lane_records : public test::lane_fixture {
protected:
    void TearDown() override {
        lane_fixture::TearDown();
        workers_.clear();
    }
    test::test_worker& add_recording_worker(worker::lane_recorder_options options = {}) {
        options.pause_base = std::min(options.pause_base, milliseconds(1));
        return add_patient_worker(options);
    }
    test::test_worker& add_patient_worker(const worker::lane_recorder_options& options) {
        recorder_ = std::make_unique<worker::lane_recorder>(log_, bus_, options);
        auto& made = make_worker("worker-1", {.token = token, .recorder = recorder_.get()});
        attach(made);
        loop_.run_until([&] { return hub_->scheduler().credits() == 4; });
        return made;
    }
    void cut() {
        ::shutdown(worker_end_, SHUT_RDWR);
        loop_.run_until([&] { return hub_->lanes() == 0; });
    }
    // Runs a call until its function has started.
    test::test_loop::pending<result<faas::outcome>> begin() {
        const auto started = hub_->statistics().started;
        auto running = loop_.start(invoker_->invoke(call(), soon()));
        loop_.run_until([&] { return hub_->statistics().started == started + 1; });
        return running;
    }
    [[nodiscard]] std::uint64_t settled() const {
        const auto& counts = recorder_->statistics();
        return counts.recorded + counts.known + counts.lost;
    }
    result<faas::invocation_record> record(std::string_view job_id) {
        return loop_.run(real_log_.get(job_id, soon()));
    }

    test::temporary_directory directory_;
    std::unique_ptr<embedded::database> database_ =
        test::open_database(directory_.file("hearth.db"));
    embedded::invocation_log real_log_{*database_};
    test::spying_log log_{real_log_};
    embedded::result_bus bus_;
    std::unique_ptr<worker::lane_recorder> recorder_;
};

TEST_F(lane_records, a_call_that_outlives_its_lane_is_recorded_and_announced_by_its_worker) {
    auto& worker = add_recording_worker();
    hold(worker, true);
    auto waiting = loop_.start(bus_.wait("job-1", soon()));
    auto running = begin();
    cut();
    EXPECT_EQ(answer_of(running.get()), "Host.WorkerLost");
    release_.set();
    const auto heard = waiting.get();
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->end.result_json, "\"held\"");
    loop_.run_until([&] { return settled() == 1; });
    EXPECT_EQ(recorder_->statistics().recorded, 1u);
    const auto kept = record("job-1");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->status, faas::invocation_status::succeeded);
    EXPECT_EQ(kept->end.result_json, "\"held\"");
    EXPECT_EQ(kept->request_id, "request-1");
    EXPECT_EQ(kept->function_id, "f");
    EXPECT_EQ(kept->attempts, 1);
    EXPECT_GE(kept->updated_at, kept->created_at);
}

TEST_F(lane_records, what_the_controller_has_recorded_stays) {
    auto& worker = add_recording_worker();
    hold(worker, true);
    auto running = begin();
    cut();
    faas::invocation_record lost;
    lost.job_id = "job-1";
    lost.status = faas::invocation_status::failed;
    lost.end = *running.get();
    ASSERT_TRUE(loop_.run(real_log_.finish(lost, soon())));
    release_.set();
    loop_.run_until([&] { return settled() == 1; });
    EXPECT_EQ(recorder_->statistics().known, 1u);
    EXPECT_EQ(record("job-1")->status, faas::invocation_status::failed);
}

TEST_F(lane_records, a_controller_that_ends_leaves_running_calls_to_their_workers) {
    auto& worker = add_recording_worker();
    hold(worker, true);
    auto running = begin();
    invoker_->leave_calls();
    loop_.run(hub_->finish());
    const auto end = running.get();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->status, faas::invocation_status::running);
    EXPECT_TRUE(end->recorded) << "by somebody else: here it must not become a failure";
    EXPECT_EQ(invoker_->statistics().left, 1u);
    release_.set();
    loop_.run_until([&] { return settled() == 1; });
    EXPECT_EQ(record("job-1")->status, faas::invocation_status::succeeded);
}

TEST_F(lane_records, what_had_not_started_or_was_answered_is_not_the_workers_to_record) {
    auto& worker = add_recording_worker();
    EXPECT_EQ(answer_of(invoke(call())), "null");
    hold(worker, false);
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 2; });
    cut();
    EXPECT_EQ(answer_of(running.get()), "\"otherwise\"");
    release_.set();
    loop_.run(worker.client.finish(soon()));
    EXPECT_EQ(settled(), 0u);
    EXPECT_FALSE(record("job-1"));
    EXPECT_FALSE(record("job-2"));
}

TEST_F(lane_records, a_log_that_is_away_for_a_while_gets_the_outcome_later) {
    auto& worker = add_recording_worker();
    hold(worker, true);
    auto running = begin();
    cut();
    log_.failures = 3;
    release_.set();
    loop_.run_until([&] { return settled() == 1; });
    EXPECT_EQ(recorder_->statistics().recorded, 1u);
    EXPECT_EQ(log_.failures, 0);
}

TEST_F(lane_records, a_worker_that_ends_tries_once_more_and_does_not_wait_for_a_log_that_is_away) {
    auto& worker = add_patient_worker({.patience = seconds(600), .pause_base = seconds(600)});
    hold(worker, true);
    auto running = begin();
    cut();
    log_.failures = 2;
    release_.set();
    loop_.run_until([&] { return log_.failures == 1; });
    loop_.run(worker.client.finish(soon()));
    EXPECT_EQ(log_.failures, 0);
    EXPECT_EQ(recorder_->statistics().lost, 1u);
}

TEST_F(lane_records, outcomes_beyond_the_limits_are_given_up) {
    auto& worker = add_recording_worker({.records_max = 1});
    hold(worker, true);
    auto first = begin();
    auto second = begin();
    cut();
    release_.set();
    loop_.run_until([&] { return settled() == 2; });
    EXPECT_EQ(recorder_->statistics().lost, 1u);
    EXPECT_EQ(recorder_->statistics().recorded, 1u);
}

TEST_F(lane_records, texts_beyond_the_limit_are_given_up) {
    auto& worker = add_recording_worker({.bytes_max = 5});
    hold(worker, true);
    auto running = begin();
    cut();
    release_.set();
    loop_.run_until([&] { return settled() == 1; });
    EXPECT_EQ(recorder_->statistics().lost, 1u);
}

}  // namespace
}  // namespace hearth
