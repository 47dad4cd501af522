#include <sys/socket.h>

#include "tests/integration/lane/lane_fixture.h"

// Calls over lanes, both ends as the programs run them.

namespace hearth {
namespace {

using test::patterned_text;
using test::scripted_invoker;
using test::soon;

class lane_calls : public test::lane_fixture {};

std::string json_text(std::size_t bytes) {
    return concat('"', std::string(bytes - 2, 'x'), '"');
}

TEST_F(lane_calls, a_call_reaches_the_worker_whole_and_its_outcome_comes_back_whole) {
    auto& worker = add_worker("worker-1");
    faas::invocation seen;
    worker.invoker.script = [&](const faas::invocation& got) -> task<result<faas::outcome>> {
        seen = got;
        faas::outcome end = scripted_invoker::failing("Runtime.Crashed");
        end.stack_trace_json = "[1]";
        end.logs = "printed";
        end.duration_ms = 2.5;
        end.cold_start = true;
        end.failure = faas::failure_kind::crash;
        co_return end;
    };
    auto asked = call("f", R"({"a":1})");
    auto target = std::make_shared<faas::function>(*asked.target);
    target->revision = 3;
    target->env = {{"NAME", "value"}};
    target->handlers = {"a.b"};
    asked.target = target;
    const auto end = invoke(asked);
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(seen.job_id, asked.job_id);
    EXPECT_EQ(seen.request_id, asked.request_id);
    EXPECT_EQ(seen.event, asked.event);
    EXPECT_EQ(seen.target->id, "f");
    EXPECT_EQ(seen.target->revision, 3);
    EXPECT_EQ(seen.target->env, target->env);
    EXPECT_EQ(seen.target->handlers, target->handlers);
    EXPECT_EQ(end->status, faas::invocation_status::failed);
    EXPECT_EQ(end->error_type, "Runtime.Crashed");
    EXPECT_EQ(end->error_message, "as the test says");
    EXPECT_EQ(end->stack_trace_json, "[1]");
    EXPECT_EQ(end->logs, "printed");
    EXPECT_EQ(end->duration_ms, 2.5);
    EXPECT_TRUE(end->cold_start);
    EXPECT_EQ(end->failure, faas::failure_kind::crash);
}

TEST_F(lane_calls, the_largest_event_and_result_come_whole) {
    auto& worker = add_worker("worker-1");
    worker.invoker.script = [](const faas::invocation& got) -> task<result<faas::outcome>> {
        co_return scripted_invoker::succeeding(got.event);
    };
    for (const std::size_t size :
         {std::size_t{16} << 10, (std::size_t{16} << 10) + 1, std::size_t{256} << 10,
          (std::size_t{256} << 10) + 1, faas::payload_bytes_max}) {
        const std::string event = patterned_text(size);
        const auto end = invoke(call("f", event));
        ASSERT_TRUE(end) << end.error().message;
        EXPECT_EQ(end->result_json, event) << size;
    }
}

TEST_F(lane_calls, a_small_result_passes_large_ones) {
    auto& worker = add_worker("worker-1", 16);
    worker.invoker.script = [](const faas::invocation& got) -> task<result<faas::outcome>> {
        co_return scripted_invoker::succeeding(
            got.target->id == "large" ? json_text(faas::payload_bytes_max) : "1");
    };
    std::vector<std::string> order;
    const auto note = [](ctrl::lane_invoker& invoker, faas::invocation what,
                         std::vector<std::string>& into) -> task<void> {
        const auto end = co_await invoker.invoke(what, soon());
        EXPECT_TRUE(end);
        into.push_back(what.target->id);
    };
    scope calls;
    for (int i = 0; i < 4; ++i) {
        calls.spawn(note(*invoker_, call("large"), order));
    }
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 4; });
    calls.spawn(note(*invoker_, call("small"), order));
    loop_.ring().run(calls.join());
    EXPECT_EQ(order.front(), "small");
}

TEST_F(lane_calls, many_calls_at_once_each_get_their_own_answer) {
    auto& worker = add_worker("worker-1", 16);
    worker.invoker.script = [](const faas::invocation& got) -> task<result<faas::outcome>> {
        co_await yield();
        co_return scripted_invoker::succeeding(got.event);
    };
    int right = 0;
    const auto ask = [](ctrl::lane_invoker& invoker, faas::invocation what,
                        int& count) -> task<void> {
        const auto end = co_await invoker.invoke(what, soon());
        count += end && end->result_json == what.event ? 1 : 0;
    };
    scope calls;
    for (int i = 0; i < 100; ++i) {
        calls.spawn(ask(*invoker_, call("f", std::to_string(i)), right));
    }
    loop_.ring().run(calls.join());
    EXPECT_EQ(right, 100);
    EXPECT_EQ(otherwise_.job_ids.size(), 0u);
}

TEST_F(lane_calls, a_function_is_told_once_and_again_when_it_has_changed) {
    auto& worker = add_worker("worker-1");
    std::vector<std::shared_ptr<const faas::function>> seen;
    worker.invoker.script = [&](const faas::invocation& got) -> task<result<faas::outcome>> {
        seen.push_back(got.target);
        co_return scripted_invoker::succeeding("1");
    };
    invoke(call());
    invoke(call());
    auto changed = call();
    auto target = std::make_shared<faas::function>(*changed.target);
    target->revision = 2;
    changed.target = target;
    invoke(changed);
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0], seen[1]);
    EXPECT_EQ(seen[2]->revision, 2);
}

TEST_F(lane_calls, more_functions_than_a_lane_remembers_are_told_again) {
    auto& worker = add_worker("worker-1");
    worker.invoker.script = [](const faas::invocation& got) -> task<result<faas::outcome>> {
        co_return scripted_invoker::succeeding(concat('"', got.target->id, '"'));
    };
    for (int round = 0; round < 2; ++round) {
        for (std::uint32_t i = 0; i < lane::definitions_max + 10; ++i) {
            const auto end = invoke(call(concat("f-", i)));
            ASSERT_EQ(answer_of(end), concat("\"f-", i, "\""));
        }
    }
}

TEST_F(lane_calls, without_a_lane_a_call_goes_the_other_way) {
    EXPECT_EQ(answer_of(invoke(call())), "\"otherwise\"");
    EXPECT_EQ(invoker_->statistics().fell_back, 1u);
}

TEST_F(lane_calls, a_call_without_a_credit_in_time_goes_the_other_way) {
    open_hub({}, {.credit_wait_max = milliseconds(5)});
    auto& worker = add_worker("worker-1", 1);
    hold(worker, true);
    auto first = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 1; });
    EXPECT_EQ(answer_of(invoke(call())), "\"otherwise\"");
    release_.set();
    EXPECT_EQ(answer_of(first.get()), "\"held\"");
}

TEST_F(lane_calls, a_call_beyond_the_queue_goes_the_other_way_at_once) {
    open_hub({.queues = {.function_queue_max = 1, .queue_max = 2}},
             {.credit_wait_max = milliseconds(30'000)});
    auto& worker = add_worker("worker-1", 1);
    hold(worker, true);
    auto running = loop_.start(invoker_->invoke(call("f"), soon()));
    auto waiting = loop_.start(invoker_->invoke(call("f"), soon()));
    loop_.run_until([&] { return hub_->scheduler().waiting() == 1; });
    EXPECT_EQ(answer_of(invoke(call("f"))), "\"otherwise\"");
    release_.set();
    EXPECT_EQ(answer_of(running.get()), "\"held\"");
    EXPECT_EQ(answer_of(waiting.get()), "\"held\"");
}

TEST_F(lane_calls, the_deadline_ends_the_wait_for_a_credit) {
    auto& worker = add_worker("worker-1", 1);
    hold(worker, true);
    auto running = loop_.start(invoker_->invoke(call(), soon()));
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 1; });
    const auto end = invoke(call(), after(milliseconds(5)));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, errc::deadline_exceeded);
    release_.set();
    EXPECT_TRUE(running.get());
}

TEST_F(lane_calls, the_worker_keeps_the_deadline_of_the_start) {
    auto& worker = add_worker("worker-1");
    worker.invoker.script = [&](const faas::invocation&) -> task<result<faas::outcome>> {
        auto let = co_await release_.wait(worker.invoker.deadlines.back());
        co_return propagate(let);
    };
    const auto end = invoke(call(), after(milliseconds(20)));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, errc::deadline_exceeded);
    EXPECT_EQ(otherwise_.job_ids.size(), 0u);
}

TEST_F(lane_calls, a_call_goes_to_the_worker_that_says_it_is_warm) {
    auto& cold = add_worker("cold");
    auto& warm = make_worker("warm", {.token = token});
    warm.host.idle = {{.function_id = "f", .revision = 1, .count = 1}};
    attach(warm);
    loop_.run_until([&] { return hub_->scheduler().credits() == 8; });
    loop_.run_ready_tasks();
    invoke(call("f"));
    EXPECT_EQ(warm.invoker.job_ids.size(), 1u);
    EXPECT_EQ(cold.invoker.job_ids.size(), 0u);
}

TEST_F(lane_calls, what_a_worker_refuses_goes_to_another_and_then_the_other_way) {
    auto& full = add_worker("full");
    full.invoker.script = [](const faas::invocation&) -> task<result<faas::outcome>> {
        co_return fail(errc::limit_exceeded, "the queue is full");
    };
    EXPECT_EQ(answer_of(invoke(call())), "\"otherwise\"");
    EXPECT_EQ(full.invoker.job_ids.size(), 1u);
    auto& other = add_worker("other");
    EXPECT_EQ(answer_of(invoke(call())), "null");
    EXPECT_EQ(other.invoker.job_ids.size(), 1u);
}

TEST_F(lane_calls, retiring_reaches_every_worker_and_the_other_way) {
    auto& one = add_worker("worker-1");
    auto& two = add_worker("worker-2");
    invoker_->retire("f", 7);
    loop_.run_until([&] { return !one.invoker.retired.empty() && !two.invoker.retired.empty(); });
    const std::pair<std::string, std::int64_t> told("f", 7);
    EXPECT_EQ(one.invoker.retired.at(0), told);
    EXPECT_EQ(two.invoker.retired.at(0), told);
    EXPECT_EQ(otherwise_.retired.at(0), told);
}

TEST_F(lane_calls, a_call_that_its_caller_stops_is_withdrawn_where_it_has_not_started) {
    auto& worker = add_worker("worker-1");
    hold(worker, false);
    const auto asked = call();
    auto running = loop_.start(invoker_->invoke(asked, soon()));
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 1; });
    running.stop();
    EXPECT_EQ(running.get().error().code, errc::cancelled);
    loop_.run_until([&] { return hub_->scheduler().credits_free() == 4; });
}

TEST_F(lane_calls, a_call_that_its_caller_stops_goes_on_where_it_has_started) {
    auto& worker = add_worker("worker-1");
    hold(worker, true);
    const auto asked = call();
    auto running = loop_.start(invoker_->invoke(asked, soon()));
    loop_.run_until([&] { return worker.invoker.job_ids.size() == 1; });
    loop_.run_ready_tasks();
    running.stop();
    EXPECT_EQ(running.get().error().code, errc::cancelled);
    loop_.run_ready_tasks();
    EXPECT_EQ(hub_->scheduler().credits_free(), 3u);
    release_.set();
    loop_.run_until([&] { return hub_->scheduler().credits_free() == 4; });
}

TEST_F(lane_calls, an_event_may_go_while_it_is_being_sent) {
    // The worker's end is not read, so that the event stays half sent.
    auto pair = test::make_socket_pair();
    const int size = 4'096;
    ::setsockopt(pair.ours.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    std::string frames;
    lane::append(frames, lane::hello{.token = token, .worker_id = "worker-1"});
    lane::append(frames, lane::credit{.window = 1});
    test::write_fully(pair.theirs, frames);
    hub_->take(std::make_unique<net::socket_stream>(std::move(pair.ours), "unix"));
    loop_.run_until([&] { return hub_->scheduler().credits() == 1; });
    {
        const auto asked = call("f", patterned_text(faas::payload_bytes_max));
        auto running = loop_.start(invoker_->invoke(asked, soon()));
        loop_.run_until([&] {  // some of the event has arrived
            char buffer[1024];
            return ::recv(pair.theirs.get(), buffer, sizeof buffer, MSG_PEEK | MSG_DONTWAIT) ==
                   sizeof buffer;
        });
        running.stop();
        loop_.run_ready_tasks();
        EXPECT_FALSE(running.done());  // a write refers to it
        pair.theirs.reset();
        EXPECT_FALSE(running.get());
    }
}

TEST_F(lane_calls, credits_follow_what_the_worker_has_free) {
    auto& worker = add_worker("worker-1", 4);
    worker.host.credits = 1;
    worker.client.capacity_changed();
    loop_.run_until([&] { return hub_->scheduler().credits() == 1; });
    worker.host.credits = 100'000;
    worker.client.capacity_changed();
    loop_.run_until([&] { return hub_->scheduler().credits() >= lane::credits_max; });
    EXPECT_EQ(hub_->scheduler().credits(), lane::credits_max);
}

TEST_F(lane_calls, reports_arrive_and_so_does_the_end) {
    auto& worker = add_worker("worker-1");
    loop_.run_until([&] { return !reports_.empty(); });
    EXPECT_EQ(reports_.front().id, "worker-1");
    loop_.run(worker.client.finish(soon()));
    loop_.run_until([&] { return !left_.empty(); });
    EXPECT_EQ(left_.front(), "worker-1");
}

}  // namespace
}  // namespace hearth
