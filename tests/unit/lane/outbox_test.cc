#include "lane/outbox.h"

#include <gtest/gtest.h>

#include "coro/event.h"
#include "faas/worker_report.h"
#include "lane/byte_budget.h"
#include "lane/incoming_body.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"
#include "tests/unit/lane/recorded_frames.h"

namespace hearth::lane {
namespace {

using test::patterned_text;
using test::soon;

// Takes each write when the test lets it.
class held_stream final : public net::stream {
public:
    task<result<net::io_buffer>> read(deadline) override {
        co_return fail(errc::closed, "nothing to read");
    }
    task<result<>> write(net::write_parts parts, deadline until) override {
        if (held) {
            if (auto let = co_await released.wait(until); !let) {
                co_return let;
            }
        }
        std::string all;
        for (const auto part : parts) {
            all += part;
        }
        writes.push_back(std::move(all));
        co_return failure;
    }
    task<result<>> shutdown_write(deadline) override { co_return result<>{}; }
    task<void> close() override { co_return; }
    [[nodiscard]] const std::string& peer() const noexcept override { return peer_; }

    bool held = false;
    event released;
    result<> failure;
    std::vector<std::string> writes;

private:
    std::string peer_ = "test";
};

class outbox_test : public testing::Test {
protected:
    recorded_frames sent() {
        recorded_frames found;
        parser all(side::worker, found);
        for (const auto& each : stream_.writes) {
            EXPECT_TRUE(all.feed(each));
        }
        return found;
    }

    test::test_executor loop_;
    held_stream stream_;
    outbox out_;
};

TEST_F(outbox_test, writes_nothing_when_there_is_nothing_to_say) {
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    loop_.run_ready_tasks();
    EXPECT_TRUE(stream_.writes.empty());
}

TEST_F(outbox_test, a_write_without_a_limit_waits_for_as_long_as_the_peer_reads_nothing) {
    stream_.held = true;
    auto running = loop_.start(out_.run(stream_, unlimited));
    out_.send(credit{.window = 1});
    loop_.run_ready_tasks();
    loop_.run_ready_tasks();  // timers that are due run at the beginning of a turn
    EXPECT_FALSE(running.done()) << "the lane would be given up";
    stream_.released.set();
    loop_.run_ready_tasks();
    EXPECT_EQ(stream_.writes.size(), 1u);
}

TEST_F(outbox_test, sends_a_single_frame_at_once) {
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    loop_.run_ready_tasks();
    out_.send(credit{.window = 1});
    loop_.run_ready_tasks();
    EXPECT_EQ(stream_.writes.size(), 1u);
}

TEST_F(outbox_test, sends_what_was_said_during_a_write_in_the_next_one) {
    stream_.held = true;
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    out_.send(credit{.window = 1});
    loop_.run_ready_tasks();
    for (std::uint32_t i = 2; i < 12; ++i) {
        out_.send(credit{.window = i});
    }
    stream_.held = false;
    stream_.released.set();
    loop_.run_ready_tasks();
    EXPECT_EQ(stream_.writes.size(), 2u);
    EXPECT_EQ(sent().frames.size(), 11u);
}

TEST_F(outbox_test, a_short_body_goes_in_the_write_of_its_head) {
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    const std::string body(outbox::body_bytes_copied, 'x');
    out_.send(end{}, 1);
    out_.send_body(1, {.parts = {"", body}, .keeper = nullptr});
    loop_.run_ready_tasks();
    ASSERT_EQ(stream_.writes.size(), 1u);
    EXPECT_EQ(sent().frames.at(1).payload, body);
}

TEST_F(outbox_test, a_long_body_waits_for_its_window_and_small_frames_pass_it) {
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    const std::string body = patterned_text(body_bytes_free + 100'000);
    out_.send(end{}, 1);
    out_.send_body(1, {.parts = {body}, .keeper = nullptr});
    loop_.run_ready_tasks();
    EXPECT_EQ(sent().frames.back().payload.size(), body_bytes_free);
    EXPECT_FALSE(out_.empty());
    out_.send(end{}, 2);
    loop_.run_ready_tasks();
    EXPECT_EQ(sent().frames.back().stream, 2u);
    EXPECT_FALSE(out_.widen(1, 100'001));
    EXPECT_FALSE(out_.widen(2, 1));
    EXPECT_TRUE(out_.widen(1, 100'000));
    EXPECT_FALSE(out_.widen(1, 1));
    loop_.run_ready_tasks();
    EXPECT_TRUE(out_.empty());
    std::string arrived;
    for (const auto& each : sent().frames) {
        arrived += each.type == frame_type::data ? each.payload : "";
    }
    EXPECT_EQ(arrived, body);
}

TEST_F(outbox_test, long_bodies_take_turns_chunk_by_chunk) {
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    const std::string body(3 * chunk_bytes_max, 'x');
    for (std::uint64_t stream = 1; stream <= 4; ++stream) {
        out_.send_body(stream, {.parts = {body}, .keeper = nullptr});
    }
    loop_.run_ready_tasks();
    std::vector<std::uint64_t> order;
    for (const auto& each : sent().frames) {
        order.push_back(each.stream);
    }
    EXPECT_EQ(order, (std::vector<std::uint64_t>{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}));
}

TEST_F(outbox_test, settled_texts_may_go_and_are_sent_all_the_same) {
    stream_.held = true;
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    std::string body = patterned_text(body_bytes_free);
    const std::string copy = body;
    out_.send_body(1, {.parts = {"", body}, .keeper = nullptr});
    loop_.run_ready_tasks();
    auto settling = loop_.start(out_.settle(1));
    loop_.run_ready_tasks();
    EXPECT_FALSE(settling.done());  // the write refers to it
    stream_.released.set();
    settling.get();
    body.assign(body.size(), '!');
    out_.send(credit{.window = 1});
    loop_.run_ready_tasks();
    std::string arrived;
    for (const auto& each : sent().frames) {
        arrived += each.type == frame_type::data ? each.payload : "";
    }
    EXPECT_EQ(arrived, copy);
}

TEST_F(outbox_test, a_peer_that_does_not_read_ends_it) {
    stream_.held = true;
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    out_.send(credit{.window = 1});
    loop_.run_ready_tasks();
    const std::string text(faas::worker_report_bytes_max, 'x');
    for (std::size_t size = 0; size <= outbox::queued_bytes_max; size += text.size()) {
        out_.send(frame_type::report, text);
    }
    stream_.released.set();
    EXPECT_EQ(running.get().error().code, errc::limit_exceeded);
}

TEST_F(outbox_test, ends_with_the_streams_error) {
    stream_.failure = fail(errc::closed, "gone");
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    out_.send(credit{.window = 1});
    EXPECT_EQ(running.get().error().code, errc::closed);
}

TEST_F(outbox_test, finishes_when_everything_is_sent) {
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    out_.send(credit{.window = 1});
    out_.finish();
    EXPECT_TRUE(running.get());
    EXPECT_EQ(stream_.writes.size(), 1u);
}

TEST_F(outbox_test, a_body_goes_to_its_sections_and_asks_for_what_it_cannot_take_unasked) {
    byte_budget budget(150'000);
    std::string message;
    std::string text;
    const std::size_t total = body_bytes_free + 100'000;
    incoming_body body(3, {{&message, 5}, {&text, total - 5}}, budget, out_);
    EXPECT_EQ(budget.available(), 50'000u);
    const std::string whole = patterned_text(total);
    ASSERT_TRUE(body.take(std::string_view(whole).substr(0, 3)));
    ASSERT_TRUE(body.take(std::string_view(whole).substr(3)));
    EXPECT_TRUE(body.complete());
    EXPECT_EQ(message + text, whole);
    EXPECT_EQ(body.take("x").error().code, errc::protocol);
    auto running = loop_.start(out_.run(stream_, seconds(30)));
    loop_.run_ready_tasks();
    recorded_frames said;
    ASSERT_TRUE(parser(side::worker, said).feed(stream_.writes.at(0)));
    EXPECT_EQ(decode<window>(said.frames.at(0).payload)->bytes, 100'000u);
    EXPECT_EQ(said.frames.at(0).stream, 3u);
}

TEST_F(outbox_test, bodies_wait_in_line_for_the_budget_and_keep_to_it) {
    byte_budget budget(100'000);
    std::string first_text;
    std::string second_text;
    std::string third_text;
    auto first = std::make_unique<incoming_body>(
        1, std::initializer_list<incoming_body::section>{{&first_text, body_bytes_free + 80'000}},
        budget, out_);
    incoming_body second(2, {{&second_text, body_bytes_free + 80'000}}, budget, out_);
    {
        incoming_body third(3, {{&third_text, body_bytes_free + 10'000}}, budget, out_);
        EXPECT_EQ(budget.available(), 20'000u);  // nobody overtakes
    }
    const std::string more(body_bytes_free + 1, 'x');
    EXPECT_EQ(second.take(more).error().code, errc::protocol);
    first.reset();
    EXPECT_EQ(budget.available(), 20'000u);
    EXPECT_FALSE(budget.has_waiting());
    EXPECT_TRUE(second.take(more));
}

}  // namespace
}  // namespace hearth::lane
