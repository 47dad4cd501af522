#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "coro/event.h"
#include "tests/port/embedded_fixtures.h"
#include "tests/unit/worker/scripted_invoker.h"
#include "tests/unit/worker/spying_ports.h"
#include "worker/intake.h"

namespace hearth::test {

// Real queue, table, log and bus; only the invoker is scripted, and the queue's clock can be moved.
class intake_fixture : public embedded_fixture, public ::testing::Test {
protected:
    void SetUp() override {
        faas::function known;
        known.id = "function-1";
        known.name = "probe";
        known.runtime = "python";
        known.handlers = {"main.handler"};
        known.handler = "main.handler";
        known.code_file = "main.py";
        known.code_sha256 = std::string(64, 'a');
        ASSERT_TRUE(loop_.run(table_.create(known, soon())));
    }
    void TearDown() override { finish(); }

    void enqueue(const std::string& job_id, const std::string& function_id = "function-1") {
        faas::invocation_record record;
        record.job_id = job_id;
        record.function_id = function_id;
        record.created_at = record.updated_at = wall_clock_ms();
        ASSERT_TRUE(loop_.run(real_log_.create(record, soon())));
        ASSERT_TRUE(
            loop_.run(real_queue_.enqueue({job_id, "request-1", function_id, "{}"}, soon())));
    }
    void start(worker::intake_options options = {}) {
        options.poll = milliseconds(20);
        options.retry_base = std::min(options.retry_base, milliseconds(4));
        intake_ =
            std::make_unique<worker::job_intake>(queue_, table_, log_, bus_, invoker_, options);
        running_.emplace(loop_.start(intake_->run()));
    }
    // Jobs succeed at once; this one when the event is set.
    void hold(const std::string& job_id, event& until_set) {
        invoker_.script =
            [=, &until_set](const faas::invocation& call) -> task<result<faas::outcome>> {
            return held_if(call.job_id == job_id, until_set);
        };
    }
    static task<result<faas::outcome>> held_if(bool held, event& until_set) {
        if (held) {
            EXPECT_TRUE(co_await until_set.wait(soon()));
        }
        co_return scripted_invoker::succeeding("null");
    }
    // As at shutdown.
    void finish() {
        if (running_) {
            intake_->stop_receiving();
            running_->get();
            running_.reset();
        }
    }
    void until(const std::function<bool()>& holds) { loop_.run_until(holds); }
    faas::invocation_record record_of(const std::string& job_id) {
        return loop_.run(real_log_.get(job_id, soon())).value_or(faas::invocation_record{});
    }
    faas::job_queue::depth depth() {
        return loop_.run(real_queue_.measure(soon())).value_or(faas::job_queue::depth{-1, -1, -1});
    }

    milliseconds passed_{0};
    embedded::time_source real_time_ = embedded::steady_wall_clock();
    embedded::job_queue real_queue_{*database_, embedded::job_queue::jobs_max_default, [this] {
                                        return real_time_() + passed_.count();
                                    }};
    embedded::function_table table_{*database_};
    embedded::invocation_log real_log_{*database_};
    embedded::result_bus bus_;
    spying_queue queue_{real_queue_};
    spying_log log_{real_log_};
    scripted_invoker invoker_;
    std::unique_ptr<worker::job_intake> intake_;
    std::optional<test_loop::pending<void>> running_;
};

}  // namespace hearth::test
