#include <sys/socket.h>

#include "tests/integration/lane/lane_fixture.h"

// Lanes that are lost at each stage of a call, and both ends' drains.

namespace hearth {
namespace {

using test::soon;

class lane_loss : public test::lane_fixture {
protected:
    void cut() const { ::shutdown(worker_end_, SHUT_RDWR); }

    // A worker that speaks by hand: its lane, greeted and with one credit.
    unique_fd add_puppet() {
        auto pair = test::make_socket_pair();
        std::string frames;
        lane::append(frames, lane::hello{.token = token, .worker_id = "puppet"});
        lane::append(frames, lane::credit{.window = 1});
        test::write_fully(pair.theirs, frames);
        hub_->take(std::make_unique<net::socket_stream>(std::move(pair.ours), "unix"));
        loop_.run_until([&] { return hub_->scheduler().credits() == 1; });
        return std::move(pair.theirs);
    }
    static task<result<faas::outcome>> note_end(event& release, const faas::invocation& got,
                                                std::optional<bool>& cancelled) {
        got.watcher->on_started();
        const auto let = co_await release.wait();
        cancelled = !let;
        co_return test::scripted_invoker::succeeding("1");
    }
    void until_sent() {
        loop_.run_until([&] { return hub_->scheduler().credits_free() == 0; });
        loop_.run_ready_tasks();
    }
};

TEST_F(lane_loss, a_lane_lost_before_hello_leaves_nothing) {
    auto pair = test::make_socket_pair();
    hub_->take(std::make_unique<net::socket_stream>(std::move(pair.ours), "unix"));
    loop_.run_ready_tasks();
    pair.theirs.reset();
    loop_.run_until([&] { return hub_->statistics().refused == 1; });
    EXPECT_EQ(hub_->lanes(), 0u);
}

TEST_F(lane_loss, a_call_that_was_sent_and_not_started_goes_to_another_worker) {
    unique_fd puppet = add_puppet();
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    until_sent();
    auto& other = add_worker("other");
    puppet.reset();
    EXPECT_EQ(answer_of(running.get()), "null");
    EXPECT_EQ(other.invoker.job_ids.size(), 1u);
    EXPECT_EQ(invoker_->statistics().resent, 1u);
}

TEST_F(lane_loss, a_call_that_no_other_worker_takes_goes_the_other_way) {
    unique_fd puppet = add_puppet();
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    until_sent();
    puppet.reset();
    EXPECT_EQ(answer_of(running.get()), "\"otherwise\"");
}

TEST_F(lane_loss, a_call_that_ends_worker_after_worker_is_not_sent_for_ever) {
    std::vector<unique_fd> puppets;
    const auto asked = call();
    puppets.push_back(add_puppet());
    auto running = loop_.start(invoker_->invoke(asked, soon()));
    int sends = 0;
    while (!running.done()) {
        until_sent();
        ++sends;
        puppets.back().reset();
        loop_.run_until([&] { return hub_->lanes() == 0; });
        // Another is there before the call looks for one.
        if (!running.done()) {
            puppets.push_back(add_puppet());
        }
        loop_.run_ready_tasks();
        if (sends == 4) {
            break;
        }
    }
    EXPECT_EQ(answer_of(running.get()), "\"otherwise\"");
    EXPECT_LE(sends, ctrl::lane_invoker::sends_max);
}

TEST_F(lane_loss, a_call_that_had_started_ends_as_lost_and_is_not_run_again) {
    unique_fd puppet = add_puppet();
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    until_sent();
    auto& other = add_worker("other");
    std::string frames;
    lane::append(frames, lane::frame_header{0, lane::frame_type::started, 1});
    test::write_fully(puppet, frames);
    puppet.reset();  // what was sent before arrives all the same
    const auto end = running.get();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->error_type, faas::error_type::worker_lost);
    EXPECT_EQ(end->failure, faas::failure_kind::worker_lost);
    EXPECT_EQ(end->status, faas::invocation_status::failed);
    EXPECT_EQ(other.invoker.job_ids.size(), 0u);
    EXPECT_EQ(otherwise_.job_ids.size(), 0u);
}

TEST_F(lane_loss, a_lane_lost_amid_a_result_ends_the_call_as_lost) {
    unique_fd puppet = add_puppet();
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    until_sent();
    std::string frames;
    lane::append(frames, lane::frame_header{0, lane::frame_type::started, 1});
    lane::append(frames, lane::end{.succeeded = true, .section_bytes = {0, 10, 0, 0}}, 1);
    lane::append(frames, lane::frame_header{10, lane::frame_type::data, 1});
    frames += "12345";
    test::write_fully(puppet, frames);
    puppet.reset();
    EXPECT_EQ(running.get()->error_type, faas::error_type::worker_lost);
}

TEST_F(lane_loss, an_outcome_without_a_start_is_an_outcome) {
    unique_fd puppet = add_puppet();
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    until_sent();
    std::string frames;
    lane::append(frames, lane::end{.not_started = true, .error_type = "Sandbox.CrashLoop"}, 1);
    test::write_fully(puppet, frames);
    const auto end = running.get();
    EXPECT_EQ(end->error_type, "Sandbox.CrashLoop");
    EXPECT_TRUE(end->not_started);
}

TEST_F(lane_loss, a_worker_that_falls_silent_is_lost) {
    open_hub({.connection = {.silence_max = milliseconds(30)}});
    unique_fd puppet = add_puppet();
    EXPECT_EQ(answer_of(invoke(call())), "\"otherwise\"");
    loop_.run_until([&] { return hub_->lanes() == 0; });
}

TEST_F(lane_loss, a_worker_that_does_not_read_is_lost) {
    open_hub({.connection = {.write_wait_max = milliseconds(30)}});
    unique_fd puppet = add_puppet();
    EXPECT_EQ(answer_of(invoke(call("f", std::string(faas::payload_bytes_max, '1')))),
              "\"otherwise\"");
    loop_.run_until([&] { return hub_->lanes() == 0; });
}

TEST_F(lane_loss, a_worker_withdraws_what_has_not_started_and_ends_what_has) {
    auto& waiting = add_worker("worker-1");
    hold(waiting, false);
    auto first = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return waiting.invoker.job_ids.size() == 1; });
    std::optional<bool> cancelled;
    waiting.invoker.script = [&](const faas::invocation& got) {
        return note_end(release_, got, cancelled);
    };
    auto second = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return hub_->statistics().started == 1; });
    cut();
    EXPECT_EQ(answer_of(first.get()), "\"otherwise\"");
    EXPECT_EQ(answer_of(second.get()), "Host.WorkerLost");
    release_.set();
    loop_.run(waiting.client.finish(soon()));
    EXPECT_EQ(cancelled, false);
}

TEST_F(lane_loss, a_lane_of_the_same_worker_takes_the_place_of_the_old_one) {
    auto& worker = add_worker("worker-1");
    hold(worker, false);
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 1; });
    auto& again = make_worker("worker-1", {.token = token});
    attach(again);
    EXPECT_TRUE(running.get());
    loop_.run_until([&] { return hub_->scheduler().credits() == 4; });
    EXPECT_TRUE(left_.empty());
    EXPECT_EQ(hub_->scheduler().lanes(), 1u);
    EXPECT_EQ(answer_of(invoke(call())), "null");
}

TEST_F(lane_loss, a_worker_that_drains_takes_its_credits_back_and_answers_what_runs) {
    auto& worker = add_worker("worker-1");
    hold(worker, true);
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 1; });
    worker.client.refuse_new();
    loop_.run_until([&] { return hub_->scheduler().credits() == 0; });
    EXPECT_EQ(answer_of(invoke(call())), "\"otherwise\"");
    auto finishing = loop_.start(worker.client.finish(soon()));
    loop_.run_ready_tasks();
    EXPECT_FALSE(finishing.done());
    release_.set();
    finishing.get();
    EXPECT_EQ(answer_of(running.get()), "\"held\"");
    loop_.run_until([&] { return hub_->lanes() == 0; });
}

TEST_F(lane_loss, a_call_that_crosses_with_the_drain_goes_to_another_worker) {
    auto& draining = add_worker("worker-1");
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    draining.client.refuse_new();  // before the loop has turned
    auto& other = make_worker("worker-2", {.token = token});
    attach(other);
    EXPECT_NE(answer_of(running.get()), "Host.WorkerLost");
    EXPECT_EQ(draining.invoker.job_ids.size(), 0u);
}

TEST_F(lane_loss, a_controller_that_ends_says_so_and_loses_nothing_that_had_not_started) {
    auto& worker = add_worker("worker-1");
    hold(worker, false);
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 1; });
    loop_.run(hub_->finish());
    EXPECT_EQ(answer_of(running.get()), "\"otherwise\"");
    EXPECT_FALSE(worker.client.connected());
}

}  // namespace
}  // namespace hearth
