// The multishot receiver and the buffer pool it shares with others.

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include "coro/yield.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"
#include "uring/multishot.h"
#include "uring/operation.h"

namespace hearth::uring {
namespace {

using test::make_socket_pair;
using test::patterned_text;
using test::soon;
using test::write_fully;

constexpr ring_options small_pool{
    .submission_entries = 64, .completion_entries = 512, .buffer_count = 4, .buffer_bytes = 512};

class receiver_test : public testing::Test {
protected:
    void open(const ring_options& options = {}) {
        auto made = ring::create(options);
        ASSERT_TRUE(made) << made.error().message;
        loop_ = std::move(*made);
        in_flight_before_ = loop_->in_flight();
        buffers_before_ = loop_->buffers().available();
    }
    void TearDown() override {
        EXPECT_EQ(loop_->in_flight(), in_flight_before_);
        EXPECT_EQ(loop_->buffers().available(), buffers_before_);
    }
    std::unique_ptr<ring> loop_;
    unsigned in_flight_before_ = 0;
    unsigned buffers_before_ = 0;
};

// Reads to the end of the stream; an error ends it too and is noted.
task<> read_all(receiver& from, std::string& text, errc* failure = nullptr) {
    for (;;) {
        auto some = co_await from.next(soon());
        if (!some) {
            EXPECT_NE(failure, nullptr) << some.error().message;
            if (failure != nullptr) {
                *failure = some.error().code;
            }
            co_return;
        }
        if (some->empty()) {
            co_return;
        }
        text += some->text();
    }
}

TEST_F(receiver_test, one_submission_serves_many_receives_until_the_end_of_the_stream) {
    open();
    auto pair = make_socket_pair();
    const auto before = loop_->statistics().submissions;
    loop_->run([](test::fd_pair& both) -> task<> {
        receiver from(ring::current(), both.ours.get());
        for (int i = 0; i < 50; ++i) {
            const std::string text = "message " + std::to_string(i);
            write_fully(both.theirs, text);
            auto got = co_await from.next(soon());
            EXPECT_EQ(got.value().text(), text);
        }
        both.theirs.reset();
        EXPECT_TRUE((co_await from.next(soon())).value().empty());
        EXPECT_TRUE((co_await from.next(soon())).value().empty());
        co_await from.finish();
    }(pair));
    EXPECT_EQ(loop_->statistics().submissions, before + 1);
    EXPECT_EQ(loop_->statistics().rearms, 0U);
}

TEST_F(receiver_test, pauses_when_nobody_reads_and_goes_on_when_somebody_does) {
    open();
    auto pair = make_socket_pair();
    loop_->run([](test::fd_pair& both) -> task<> {
        receiver from(ring::current(), both.ours.get());
        write_fully(both.theirs, "x");
        EXPECT_EQ((co_await from.next(soon())).value().text(), "x");
        // Nobody reads now: the writer is to be held back by the socket, not by our memory.
        const std::string text = patterned_text(4 << 20);
        std::thread writer([&] { write_fully(both.theirs, text); });
        auto& buffers = ring::current().buffers();
        const unsigned total = buffers.available();
        unsigned held_max = 0;
        for (int i = 0; i < 20; ++i) {
            co_await sleep_until(after(milliseconds(1)));
            held_max = std::max(held_max, total - buffers.available());
        }
        EXPECT_GE(held_max, receiver::unread_max);
        EXPECT_LE(held_max, receiver::unread_max + 64);  // the kernel's last burst
        std::string got;
        while (got.size() < text.size()) {
            auto some = co_await from.next(soon());
            got += some.value().text();
        }
        EXPECT_EQ(got, text);
        writer.join();
        co_await from.finish();
    }(pair));
    EXPECT_GT(loop_->statistics().rearms, 0U);
}

TEST_F(receiver_test, a_deadline_or_stop_of_one_read_leaves_the_stream_intact) {
    open();
    auto pair = make_socket_pair();
    loop_->run([](test::fd_pair& both) -> task<> {
        receiver from(ring::current(), both.ours.get());
        EXPECT_EQ((co_await from.next(after(milliseconds(1)))).error().code,
                  errc::deadline_exceeded);
        scope tasks;
        std::string unread;
        errc failure{};
        tasks.spawn(read_all(from, unread, &failure));
        co_await yield();
        tasks.request_stop();
        co_await tasks.join();
        EXPECT_EQ(failure, errc::cancelled);
        write_fully(both.theirs, "kept");
        EXPECT_EQ((co_await from.next(soon())).value().text(), "kept");
        co_await from.finish();
    }(pair));
}

TEST_F(receiver_test, finish_ends_a_pending_read_and_returns_after_the_reader_has_left) {
    open();
    auto pair = make_socket_pair();
    loop_->run([](int fd) -> task<> {
        scope tasks;
        errc failure{};
        std::string text;
        {
            receiver from(ring::current(), fd);
            tasks.spawn(read_all(from, text, &failure));
            co_await sleep_until(after(milliseconds(1)));
            co_await from.finish();
            EXPECT_EQ(failure, errc::closed);
            co_await from.finish();
            EXPECT_EQ((co_await from.next(soon())).error().code, errc::closed);
        }
        co_await tasks.join();
    }(pair.ours.get()));
}

task<> finish_when_readable(int fd, std::unique_ptr<receiver>& closing, const bool& reader_left) {
    EXPECT_TRUE(co_await poll_once(fd, POLLIN, soon()));
    co_await closing->finish();
    EXPECT_TRUE(reader_left);
    closing.reset();
}
task<> read_all_and_leave(receiver& from, bool& left) {
    std::string text;
    errc failure{};
    co_await read_all(from, text, &failure);
    left = true;
}

// The end of the stream and the order to close come in one turn of the loop, the order first: the
// reader was woken but has not run when the receiver is finished and destroyed.
TEST_F(receiver_test, finish_waits_for_a_reader_that_is_ready_but_has_not_resumed) {
    open();
    loop_->run([]() -> task<> {
        for (int round = 0; round < 20; ++round) {
            auto pair = make_socket_pair();
            const unique_fd order(::eventfd(0, EFD_CLOEXEC));
            auto from = std::make_unique<receiver>(ring::current(), pair.ours.get());
            bool left = false;
            scope tasks;
            tasks.spawn(finish_when_readable(order.get(), from, left));
            tasks.spawn(read_all_and_leave(*from, left));
            co_await sleep_until(after(microseconds(100)));
            ::eventfd_write(order.get(), 1);
            pair.theirs.reset();
            co_await tasks.join();
        }
    }());
}

TEST_F(receiver_test, a_reset_by_the_peer_is_reported_after_what_came_before_it) {
    open();
    auto pair = make_socket_pair();
    write_fully(pair.ours, "unread by the peer");  // its close then resets the connection
    write_fully(pair.theirs, "last words");
    pair.theirs.reset();
    loop_->run([](int fd) -> task<> {
        receiver from(ring::current(), fd);
        std::string text;
        errc failure{};
        co_await read_all(from, text, &failure);
        EXPECT_EQ(failure, errc::closed);
        co_await from.finish();
    }(pair.ours.get()));
}

TEST_F(receiver_test, with_four_buffers_and_many_streams_nobody_starves) {
    open(small_pool);
    constexpr std::size_t streams = 12;
    constexpr std::size_t bytes_each = 200'000;
    std::vector<test::fd_pair> pairs(streams);
    std::vector<std::string> sent;
    for (std::size_t i = 0; i < streams; ++i) {
        pairs[i] = make_socket_pair();
        sent.push_back(patterned_text(bytes_each, static_cast<unsigned>(i)));
    }
    std::vector<std::jthread> writers;
    writers.reserve(streams);
    for (std::size_t i = 0; i < streams; ++i) {
        writers.emplace_back([&, i] {
            write_fully(pairs[i].theirs, sent[i]);
            pairs[i].theirs.reset();
        });
    }
    std::vector<std::string> got(streams);
    loop_->run([](std::vector<test::fd_pair>& all, std::vector<std::string>& texts) -> task<> {
        scope tasks;
        for (std::size_t i = 0; i < all.size(); ++i) {
            tasks.spawn([](int fd, std::string& text) -> task<> {
                receiver from(ring::current(), fd);
                co_await read_all(from, text);
                co_await from.finish();
            }(all[i].ours.get(), texts[i]));
        }
        co_await tasks.join();
    }(pairs, got));
    for (std::size_t i = 0; i < streams; ++i) {
        EXPECT_TRUE(got[i] == sent[i]) << "stream " << i << " got " << got[i].size() << " bytes";
    }
    EXPECT_GT(loop_->statistics().no_buffers, 0U);
    EXPECT_GT(loop_->statistics().rearms, 0U);
    EXPECT_GT(loop_->statistics().buffer_copies, 0U);
}

TEST_F(receiver_test, a_reader_that_keeps_its_buffers_does_not_starve_the_others) {
    open(small_pool);
    auto hoarded = make_socket_pair();
    auto other = make_socket_pair();
    loop_->run([](test::fd_pair& greedy, test::fd_pair& modest) -> task<> {
        receiver hoarding(ring::current(), greedy.ours.get());
        receiver from(ring::current(), modest.ours.get());
        std::vector<io_buffer> kept;
        for (int i = 0; i < 20; ++i) {
            write_fully(greedy.theirs, "0123456789");
            auto got = co_await hoarding.next(soon());
            kept.push_back(std::move(got.value()));
        }
        EXPECT_LE(ring::current().buffers().available(), 1U);
        for (int i = 0; i < 20; ++i) {
            write_fully(modest.theirs, "abc");
            auto got = co_await from.next(soon());
            EXPECT_EQ(got.value().text(), "abc");
        }
        for (const io_buffer& each : kept) {
            EXPECT_EQ(each.text(), "0123456789");
        }
        co_await hoarding.finish();
        co_await from.finish();
    }(hoarded, other));
    EXPECT_GT(loop_->statistics().buffer_copies, 0U);
}

// The kernel may be anywhere in the multishot operation when it is cancelled.
TEST_F(receiver_test, finish_always_returns_while_the_peer_is_sending) {
    open({.submission_entries = 64, .completion_entries = 256, .buffer_count = 16});
    for (int round = 0; round < 100; ++round) {
        auto pair = make_socket_pair();
        std::atomic<bool> enough = false;
        std::thread writer([&] {
            const std::string text(3000, 'x');
            while (!enough) {
                [[maybe_unused]] const auto count = ::send(
                    pair.theirs.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            }
        });
        loop_->run([](int fd, int reads) -> task<> {
            receiver from(ring::current(), fd);
            for (int i = 0; i < reads; ++i) {
                EXPECT_TRUE(co_await from.next(soon()));
            }
            co_await from.finish();
        }(pair.ours.get(), 1 + round % 40));
        enough = true;
        writer.join();
    }
}

}  // namespace
}  // namespace hearth::uring
