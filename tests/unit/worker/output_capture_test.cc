#include "worker/output_capture.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"
#include "base/json.h"
#include "coro/yield.h"
#include "faas/function.h"
#include "tests/support/sockets.h"

namespace hearth::worker {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

const std::string cut_mark = concat("\n[log cut at ", faas::log_bytes_max, " bytes]\n");

// A real pipe on a real ring; the test is the sandbox that writes.
class output_capture_test : public ::testing::Test {
protected:
    void SetUp() override {
        auto made = uring::ring::create();
        ASSERT_TRUE(made) << made.error().message;
        loop_ = std::move(*made);
        auto [reading, writing] = test::make_pipe();
        ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
        sandbox_ = std::move(writing);
        capture_ = std::make_unique<output_capture>(*loop_, std::move(reading));
    }

    // Runs `body` while the pipe is watched.
    template <class Body>
    void run(Body body) {
        loop_->run([](output_capture& capture, Body& during) -> task<void> {
            scope watching;
            watching.spawn(capture.watch());
            co_await during();
            co_await capture.stop();
            co_await watching.join();
        }(*capture_, body));
    }
    void write(std::string_view text) { test::write_fully(sandbox_, text); }
    // Writes more than a pipe holds, as the watch makes room.
    task<void> write_much(std::string_view text) {
        ::fcntl(sandbox_.get(), F_SETFL, O_NONBLOCK);
        while (!text.empty()) {
            const ssize_t count = ::write(sandbox_.get(), text.data(), text.size());
            if (count > 0) {
                text.remove_prefix(static_cast<std::size_t>(count));
            }
            co_await yield();
        }
    }

    std::unique_ptr<uring::ring> loop_;
    unique_fd sandbox_;
    std::unique_ptr<output_capture> capture_;
};

TEST_F(output_capture_test, returns_what_was_written_during_the_invocation) {
    run([this]() -> task<void> {
        capture_->begin_invocation();
        write("one\n");
        co_await yield();
        write("two\n");
        EXPECT_EQ(capture_->end_invocation(), "one\ntwo\n");
        capture_->begin_invocation();
        EXPECT_EQ(capture_->end_invocation(), "");
    });
}

TEST_F(output_capture_test, drops_what_comes_between_invocations_read_or_not) {
    run([this]() -> task<void> {
        capture_->begin_invocation();
        EXPECT_EQ(capture_->end_invocation(), "");
        write("a thread goes on");
        co_await sleep_until(after(milliseconds(5)));  // time for the watch to read it
        write("still in the pipe");
        capture_->begin_invocation();
        write("mine");
        EXPECT_EQ(capture_->end_invocation(), "mine");
    });
}

TEST_F(output_capture_test, keeps_exactly_the_limit_without_a_mark) {
    run([this]() -> task<void> {
        const std::string text(faas::log_bytes_max, 'x');
        capture_->begin_invocation();
        co_await write_much(text);
        EXPECT_EQ(capture_->end_invocation(), text);
    });
}

TEST_F(output_capture_test, cuts_a_flood_at_a_mark_and_the_next_log_is_whole_again) {
    run([this]() -> task<void> {
        capture_->begin_invocation();
        co_await write_much(std::string(8 << 20, 'x'));
        EXPECT_EQ(capture_->end_invocation(), std::string(faas::log_bytes_max, 'x') + cut_mark);
        capture_->begin_invocation();
        write("next");
        EXPECT_EQ(capture_->end_invocation(), "next");
    });
}

TEST_F(output_capture_test, invalid_utf8_is_replaced_and_stays_within_the_limit) {
    run([this]() -> task<void> {
        capture_->begin_invocation();
        write(
            "a\xff"
            "b");
        EXPECT_EQ(capture_->end_invocation(),
                  "a\xef\xbf\xbd"
                  "b");
        capture_->begin_invocation();
        co_await write_much(std::string(faas::log_bytes_max, '\xff'));
        const std::string logs = capture_->end_invocation();
        EXPECT_TRUE(json::is_valid_utf8(logs));
        EXPECT_LE(logs.size(), faas::log_bytes_max + cut_mark.size());
        EXPECT_THAT(logs.substr(logs.size() - 40), EndsWith(cut_mark));
    });
}

TEST_F(output_capture_test, a_character_cut_in_two_does_not_spoil_the_log) {
    run([this]() -> task<void> {
        capture_->begin_invocation();
        co_await write_much(std::string(faas::log_bytes_max - 1, 'x') + "\xc3\xa4");
        const std::string logs = capture_->end_invocation();
        EXPECT_TRUE(json::is_valid_utf8(logs));
        EXPECT_THAT(logs.substr(logs.size() - 40), HasSubstr("xxx"));
        EXPECT_THAT(logs.substr(logs.size() - 40), EndsWith(cut_mark));
    });
}

TEST_F(output_capture_test, stops_watching_at_the_end_of_the_pipe_and_still_returns_the_rest) {
    run([this]() -> task<void> {
        capture_->begin_invocation();
        write("last words");
        sandbox_.reset();
        co_await sleep_until(after(milliseconds(5)));
        EXPECT_EQ(capture_->end_invocation(), "last words");
    });
}

TEST_F(output_capture_test, stop_ends_the_watch_of_a_silent_pipe) {
    run([]() -> task<void> { co_return; });
}

}  // namespace
}  // namespace hearth::worker
