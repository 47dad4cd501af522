// A pair of streams within one thread: what holds for a pair of sockets holds for it.

#include "net/memory_stream.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "coro/frame_pool.h"
#include "coro/scope.h"
#include "coro/yield.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"
#include "tests/unit/net/read_to_end.h"
#include "uring/ring.h"

namespace hearth::net {
namespace {

using test::patterned_text;
using test::soon;

class memory_stream_test : public testing::Test {
protected:
    void SetUp() override { frames_ = this_thread_frames().live; }
    void TearDown() override { EXPECT_EQ(this_thread_frames().live, frames_); }

    std::unique_ptr<uring::ring> loop_ = uring::ring::create().value();
    std::uint64_t frames_ = 0;
};

struct pair_of_ends {
    std::unique_ptr<memory_stream> a;
    std::unique_ptr<memory_stream> b;

    pair_of_ends() { std::tie(a, b) = memory_stream::make_pair("beside"); }
    task<> close() {
        co_await a->close();
        co_await b->close();
    }
};

task<> write_all(stream& to, const std::string& text, std::size_t piece_bytes) {
    for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
        auto written = co_await to.write(std::string_view(text).substr(at, piece_bytes), soon());
        EXPECT_TRUE(written) << written.error().message;
    }
    EXPECT_TRUE(co_await to.shutdown_write(soon()));
}

task<> exchange(std::size_t bytes, std::size_t piece_bytes) {
    pair_of_ends ends;
    const std::string up = patterned_text(bytes, 1);
    const std::string down = patterned_text(bytes, 2);
    std::string got_up;
    std::string got_down;
    scope tasks;
    tasks.spawn(write_all(*ends.a, up, piece_bytes));
    tasks.spawn(write_all(*ends.b, down, piece_bytes));
    tasks.spawn(read_to_end(*ends.b, got_up));
    tasks.spawn(read_to_end(*ends.a, got_down));
    co_await tasks.join();
    EXPECT_EQ(got_up, up);
    EXPECT_EQ(got_down, down);
    EXPECT_EQ(ends.a->peer(), "beside");
    co_await ends.close();
}

TEST_F(memory_stream_test, all_bytes_arrive_in_order_both_ways) {
    loop_->run(exchange(0, 1));
    loop_->run(exchange(10, 3));
    loop_->run(exchange(5 * memory_stream::unread_bytes_max + 7, 65'536));
    loop_->run(exchange(3 * memory_stream::unread_bytes_max, 2 * memory_stream::unread_bytes_max));
}

task<> parts_of_one_write() {
    pair_of_ends ends;
    const std::array<std::string_view, 4> parts{"one ", "", "two ", "three"};
    EXPECT_TRUE(co_await ends.a->write(parts, soon()));
    EXPECT_EQ((co_await ends.b->read(soon()))->text(), "one two three");
    co_await ends.close();
}

TEST_F(memory_stream_test, the_parts_of_a_write_come_as_one) {
    loop_->run(parts_of_one_write());
}

task<> no_system_calls(uring::ring& loop) {
    pair_of_ends ends;
    const std::uint64_t before = loop.statistics().enters;
    for (int i = 0; i < 1'000; ++i) {
        EXPECT_TRUE(co_await ends.a->write("ping", soon()));
        EXPECT_EQ((co_await ends.b->read(soon()))->text(), "ping");
    }
    EXPECT_EQ(loop.statistics().enters, before);
    co_await ends.close();
}

TEST_F(memory_stream_test, what_is_there_costs_no_way_into_the_kernel) {
    loop_->run(no_system_calls(*loop_));
}

task<> write_noting(stream& to, std::string text, bool& done) {
    EXPECT_TRUE(co_await to.write(text, soon()));
    done = true;
}

task<> full() {
    pair_of_ends ends;
    bool first = false;
    bool second = false;
    scope tasks;
    tasks.spawn(write_noting(*ends.a, std::string(memory_stream::unread_bytes_max, 'x'), first));
    co_await yield();
    EXPECT_TRUE(first);
    tasks.spawn(write_noting(*ends.a, "y", second));
    co_await yield();
    EXPECT_FALSE(second) << "what nobody reads must not grow without end";
    EXPECT_EQ((co_await ends.b->read(soon()))->size(), memory_stream::unread_bytes_max);
    co_await tasks.join();
    EXPECT_TRUE(second);
    EXPECT_EQ((co_await ends.b->read(soon()))->text(), "y");
    co_await ends.close();
}

TEST_F(memory_stream_test, a_writer_waits_for_a_reader_who_is_behind) {
    loop_->run(full());
}

task<> deadlines() {
    pair_of_ends ends;
    auto read = co_await ends.a->read(after(milliseconds(1)));
    EXPECT_EQ(read.error().code, errc::deadline_exceeded);
    EXPECT_TRUE(co_await ends.a->write(std::string(memory_stream::unread_bytes_max, 'x'), soon()));
    auto written = co_await ends.a->write("y", after(milliseconds(1)));
    EXPECT_EQ(written.error().code, errc::deadline_exceeded);
    co_await ends.close();
}

TEST_F(memory_stream_test, both_directions_keep_their_deadlines) {
    loop_->run(deadlines());
}

task<> expect_read_ends(stream& from, errc code) {
    auto some = co_await from.read(never);
    EXPECT_FALSE(some);
    EXPECT_EQ(some.error().code, code);
}

task<> expect_write_ends(stream& to, errc code) {
    auto written = co_await to.write("more", never);
    EXPECT_FALSE(written);
    EXPECT_EQ(written.error().code, code);
}

task<> closed_while_waiting() {
    pair_of_ends ends;
    EXPECT_TRUE(co_await ends.a->write(std::string(memory_stream::unread_bytes_max, 'x'), soon()));
    scope tasks;
    tasks.spawn(expect_read_ends(*ends.a, errc::closed));
    tasks.spawn(expect_write_ends(*ends.a, errc::closed));
    co_await yield();
    co_await ends.a->close();
    co_await tasks.join();
    // What was written before is still there for the peer, then the end.
    EXPECT_EQ((co_await ends.b->read(soon()))->size(), memory_stream::unread_bytes_max);
    EXPECT_TRUE((co_await ends.b->read(soon()))->empty());
    co_await expect_write_ends(*ends.b, errc::closed);
    co_await ends.b->close();
    co_await ends.b->close();
}

TEST_F(memory_stream_test, closing_ends_what_waits_and_tells_the_peer) {
    loop_->run(closed_while_waiting());
}

task<> stopped_while_waiting() {
    pair_of_ends ends;
    scope tasks;
    tasks.spawn(expect_read_ends(*ends.a, errc::cancelled));
    co_await yield();
    tasks.request_stop();
    co_await tasks.join();
    co_await ends.close();
}

TEST_F(memory_stream_test, a_stop_ends_a_wait) {
    loop_->run(stopped_while_waiting());
}

}  // namespace
}  // namespace hearth::net
