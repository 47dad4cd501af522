#include "uring/operation.h"

#include <array>
#include <csignal>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "coro/frame_pool.h"
#include "coro/yield.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"

namespace hearth::uring {
namespace {

using test::bytes_of;
using test::make_pipe;
using test::make_socket_pair;
using test::soon;
using test::write_fully;

class operation_test : public testing::Test {
protected:
    void SetUp() override {
        auto made = ring::create({.submission_entries = 64, .completion_entries = 256});
        ASSERT_TRUE(made) << made.error().message;
        loop_ = std::move(*made);
        in_flight_before_ = loop_->in_flight();
    }
    void TearDown() override {
        EXPECT_EQ(loop_->in_flight(), in_flight_before_);
        EXPECT_EQ(loop_->timers().size(), 0U);
    }
    std::unique_ptr<ring> loop_;
    unsigned in_flight_before_ = 0;
};

task<result<std::string>> receive_text(int fd, std::size_t room, deadline until, int flags = 0) {
    std::string text(room, '\0');
    auto count = co_await receive(fd, bytes_of(text), until, flags);
    if (!count) {
        co_return propagate(count);
    }
    text.resize(*count);
    co_return text;
}
task<> receive_into(int fd, result<std::string>& out, deadline until) {
    out = co_await receive_text(fd, 100, until);
}

TEST_F(operation_test, receive_returns_what_is_there_and_zero_at_the_end_of_the_stream) {
    auto pair = make_socket_pair();
    write_fully(pair.theirs, "hello");
    EXPECT_EQ(loop_->run(receive_text(pair.ours.get(), 100, soon())).value(), "hello");
    pair.theirs.reset();
    EXPECT_EQ(loop_->run(receive_text(pair.ours.get(), 100, soon())).value(), "");
}

TEST_F(operation_test, receive_with_waitall_fills_the_whole_span) {
    auto pair = make_socket_pair();
    loop_->run([](test::fd_pair& both) -> task<> {
        scope tasks;
        write_fully(both.theirs, "12345");
        tasks.spawn([](int fd) -> task<> {
            auto got = co_await receive_text(fd, 10, soon(), MSG_WAITALL);
            EXPECT_EQ(got.value(), "1234567890");
        }(both.ours.get()));
        co_await sleep_until(after(milliseconds(2)));
        write_fully(both.theirs, "67890");
        co_await tasks.join();
    }(pair));
}

TEST_F(operation_test, send_message_gathers_its_parts_in_order) {
    auto pair = make_socket_pair();
    std::string head = "head ";
    std::string body = "body";
    std::array parts{iovec{head.data(), head.size()}, iovec{body.data(), body.size()}};
    const auto sent =
        loop_->run([](int fd, std::span<iovec> gathered) -> task<result<std::size_t>> {
            co_return co_await send_message(fd, gathered, soon());
        }(pair.theirs.get(), parts));
    EXPECT_EQ(sent.value(), 9U);
    EXPECT_EQ(loop_->run(receive_text(pair.ours.get(), 100, soon())).value(), "head body");
}

TEST_F(operation_test, sending_to_a_closed_peer_is_an_error_and_raises_no_signal) {
    auto pair = make_socket_pair();
    pair.theirs.reset();
    std::string text = "x";
    std::array parts{iovec{text.data(), text.size()}};
    const auto sent =
        loop_->run([](int fd, std::span<iovec> gathered) -> task<result<std::size_t>> {
            co_return co_await send_message(fd, gathered, soon());
        }(pair.ours.get(), parts));
    EXPECT_EQ(sent.error().code, errc::closed);
    EXPECT_EQ(sent.error().os_error, EPIPE);
}

task<result<std::string>> read_text(int fd, deadline until) {
    std::string text(100, '\0');
    auto count = co_await read_some(fd, bytes_of(text), until);
    if (!count) {
        co_return propagate(count);
    }
    text.resize(*count);
    co_return text;
}

TEST_F(operation_test, read_some_reads_a_pipe_to_its_end) {
    auto pipe = make_pipe();
    write_fully(pipe.theirs, "through a pipe");
    EXPECT_EQ(loop_->run(read_text(pipe.ours.get(), soon())).value(), "through a pipe");
    EXPECT_EQ(loop_->run(read_text(pipe.ours.get(), after(milliseconds(2)))).error().code,
              errc::deadline_exceeded);
    pipe.theirs.reset();
    EXPECT_EQ(loop_->run(read_text(pipe.ours.get(), soon())).value(), "");
}

task<result<unsigned>> poll_for(int fd, unsigned events, deadline until) {
    co_return co_await poll_once(fd, events, until);
}

TEST_F(operation_test, poll_tells_which_events_hold) {
    const unique_fd counter(::eventfd(1, EFD_CLOEXEC));
    EXPECT_EQ(loop_->run(poll_for(counter.get(), POLLIN | POLLOUT, soon())).value(),
              static_cast<unsigned>(POLLIN | POLLOUT));
    const unique_fd empty(::eventfd(0, EFD_CLOEXEC));
    EXPECT_EQ(loop_->run(poll_for(empty.get(), POLLIN, test::passed())).error().code,
              errc::deadline_exceeded);
}

TEST_F(operation_test, a_pidfd_becomes_readable_when_its_process_ends) {
    auto hold = make_pipe();
    const pid_t child = ::fork();
    if (child == 0) {
        char byte = 0;
        hold.theirs.reset();
        [[maybe_unused]] const auto count = ::read(hold.ours.get(), &byte, 1);
        ::_exit(7);
    }
    const unique_fd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    ASSERT_TRUE(process);
    EXPECT_EQ(loop_->run(poll_for(process.get(), POLLIN, after(milliseconds(2)))).error().code,
              errc::deadline_exceeded);
    hold.theirs.reset();
    EXPECT_TRUE(loop_->run(poll_for(process.get(), POLLIN, soon())));
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(operation_test, connecting_to_a_closed_port_says_unavailable) {
    // Bound but not listening: nobody else can take the port meanwhile.
    const unique_fd bound(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof where;
    ASSERT_EQ(::bind(bound.get(), reinterpret_cast<sockaddr*>(&where), size), 0);
    ASSERT_EQ(::getsockname(bound.get(), reinterpret_cast<sockaddr*>(&where), &size), 0);
    const unique_fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto connected = loop_->run([](int fd, const sockaddr_in& to) -> task<result<>> {
        co_return co_await connect_socket(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to,
                                          soon());
    }(socket.get(), where));
    EXPECT_EQ(connected.error().code, errc::unavailable);
}

TEST_F(operation_test, a_deadline_cancels_and_the_descriptor_stays_usable) {
    auto pair = make_socket_pair();
    const auto got = loop_->run(receive_text(pair.ours.get(), 100, after(milliseconds(2))));
    EXPECT_EQ(got.error().code, errc::deadline_exceeded);
    write_fully(pair.theirs, "later");
    EXPECT_EQ(loop_->run(receive_text(pair.ours.get(), 100, soon())).value(), "later");
}

TEST_F(operation_test, a_result_that_is_there_is_preferred_to_a_deadline_that_has_passed) {
    auto pair = make_socket_pair();
    write_fully(pair.theirs, "in time");
    EXPECT_EQ(loop_->run(receive_text(pair.ours.get(), 100, test::passed())).value(), "in time");
}

TEST_F(operation_test, stopped_before_it_starts_it_never_reaches_the_kernel) {
    auto pair = make_socket_pair();
    write_fully(pair.theirs, "unread");
    loop_->run([](int fd, ring& loop) -> task<> {
        scope tasks;
        result<std::string> outcome;
        tasks.request_stop();
        const auto submissions = loop.statistics().submissions;
        tasks.spawn(receive_into(fd, outcome, soon()));
        co_await tasks.join();
        EXPECT_EQ(outcome.error().code, errc::cancelled);
        EXPECT_EQ(loop.statistics().submissions, submissions);
    }(pair.ours.get(), *loop_));
}

TEST_F(operation_test, stopped_before_its_submission_it_is_cancelled_all_the_same) {
    auto pair = make_socket_pair();
    loop_->run([](int fd) -> task<> {
        scope tasks;
        result<std::string> outcome;
        tasks.spawn(receive_into(fd, outcome, soon()));
        co_await yield();  // the receive is queued now, in the same turn, and not submitted yet
        tasks.request_stop();
        co_await tasks.join();
        EXPECT_EQ(outcome.error().code, errc::cancelled);
    }(pair.ours.get()));
}

TEST_F(operation_test, stop_reaches_an_operation_in_the_kernel) {
    auto pair = make_socket_pair();
    loop_->run([](int fd) -> task<> {
        scope tasks;
        result<std::string> outcome;
        tasks.spawn(receive_into(fd, outcome, soon()));
        co_await sleep_until(after(milliseconds(1)));
        tasks.request_stop();
        tasks.request_stop();
        co_await tasks.join();
        EXPECT_EQ(outcome.error().code, errc::cancelled);
    }(pair.ours.get()));
}

// Data, stop and deadline arrive together in every order; a byte is either delivered or still in
// the socket, never lost, and every operation ends.
TEST_F(operation_test, no_byte_is_lost_when_completion_stop_and_deadline_race) {
    loop_->run([]() -> task<> {
        int delivered = 0;
        for (int round = 0; round < 3000; ++round) {
            auto pair = make_socket_pair();
            scope tasks;
            result<std::string> outcome;
            const deadline until = round % 3 == 0 ? after(microseconds(round % 50)) : soon();
            tasks.spawn(receive_into(pair.ours.get(), outcome, until));
            for (int i = 0; i < round % 4; ++i) {
                co_await yield();
            }
            if (round % 2 == 0) {
                write_fully(pair.theirs, "x");
                tasks.request_stop();
            } else {
                tasks.request_stop();
                write_fully(pair.theirs, "x");
            }
            co_await tasks.join();
            char byte = 0;
            const auto left = ::recv(pair.ours.get(), &byte, 1, MSG_DONTWAIT);
            EXPECT_EQ(outcome.has_value(), left != 1);
            if (outcome) {
                EXPECT_EQ(*outcome, "x");
                ++delivered;
            }
        }
        EXPECT_GT(delivered, 0);
    }());
}

TEST_F(operation_test, an_operation_interrupted_by_a_signal_is_begun_again) {
    const unique_fd counter(::eventfd(1, EFD_CLOEXEC));
    int interruptions = 3;
    loop_->set_fault([&](int kernel_result) {
        return kernel_result == POLLIN && interruptions-- > 0 ? -EINTR : kernel_result;
    });
    EXPECT_EQ(loop_->run(poll_for(counter.get(), POLLIN, soon())).value(),
              static_cast<unsigned>(POLLIN));
    EXPECT_LT(interruptions, 0);
}

TEST_F(operation_test, an_operation_interrupted_again_and_again_ends_at_its_deadline) {
    const unique_fd counter(::eventfd(1, EFD_CLOEXEC));
    loop_->set_fault(
        [](int kernel_result) { return kernel_result == POLLIN ? -EINTR : kernel_result; });
    EXPECT_EQ(loop_->run(poll_for(counter.get(), POLLIN, after(milliseconds(5)))).error().code,
              errc::deadline_exceeded);
}

TEST_F(operation_test, a_failure_of_the_kernel_keeps_its_errno_and_says_what_failed) {
    const unique_fd counter(::eventfd(1, EFD_CLOEXEC));
    loop_->set_fault(
        [](int kernel_result) { return kernel_result == POLLIN ? -EIO : kernel_result; });
    const auto outcome = loop_->run(poll_for(counter.get(), POLLIN, soon()));
    EXPECT_EQ(outcome.error().code, errc::io);
    EXPECT_EQ(outcome.error().os_error, EIO);
    EXPECT_EQ(outcome.error().message, "poll: Input/output error");
}

TEST_F(operation_test, no_frame_and_no_descriptor_is_left_behind) {
    const auto frames = this_thread_frames().live;
    const auto descriptors = test::open_descriptors();
    for (int i = 0; i < 50; ++i) {
        auto pair = make_socket_pair();
        std::ignore = loop_->run(receive_text(pair.ours.get(), 10, test::passed()));
    }
    EXPECT_EQ(this_thread_frames().live, frames);
    EXPECT_EQ(test::open_descriptors(), descriptors);
}

}  // namespace
}  // namespace hearth::uring
