// The multishot acceptor and the readiness watch.

#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "coro/event.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"
#include "uring/multishot.h"

namespace hearth::uring {
namespace {

using test::soon;

class acceptor_test : public testing::Test {
protected:
    void SetUp() override {
        loop_ = ring::create().value();
        in_flight_before_ = loop_->in_flight();
        listening_ = unique_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        where_.sin_family = AF_INET;
        where_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof where_;
        ASSERT_EQ(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&where_), size), 0);
        ASSERT_EQ(::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&where_), &size), 0);
        ASSERT_EQ(::listen(listening_.get(), 4096), 0);
    }
    void TearDown() override { EXPECT_EQ(loop_->in_flight(), in_flight_before_); }

    static unique_fd connect_to(const sockaddr_in& where) {
        unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
        return fd;
    }

    std::unique_ptr<ring> loop_;
    unsigned in_flight_before_ = 0;
    unique_fd listening_;
    sockaddr_in where_{};
};

TEST_F(acceptor_test, one_submission_accepts_many_connections) {
    const auto before = loop_->statistics().submissions;
    loop_->run([](int fd, const sockaddr_in& where) -> task<> {
        acceptor incoming(ring::current(), fd);
        for (int i = 0; i < 50; ++i) {
            const unique_fd client = connect_to(where);
            auto accepted = co_await incoming.next(soon());
            EXPECT_TRUE(accepted.value());
        }
        EXPECT_EQ((co_await incoming.next(after(milliseconds(1)))).error().code,
                  errc::deadline_exceeded);
        co_await incoming.finish();
    }(listening_.get(), where_));
    EXPECT_EQ(loop_->statistics().submissions, before + 1);
}

TEST_F(acceptor_test, pauses_at_its_backlog_and_leaves_the_rest_in_the_kernels) {
    loop_->run([](int fd, const sockaddr_in& where) -> task<> {
        acceptor incoming(ring::current(), fd);
        std::vector<unique_fd> clients;
        clients.push_back(connect_to(where));
        EXPECT_TRUE(co_await incoming.next(soon()));
        // Nobody takes them now. A turn of the loop after each keeps the kernel's bursts short.
        for (std::size_t i = 0; i < acceptor::backlog_max + 40; ++i) {
            clients.push_back(connect_to(where));
            co_await sleep_until(after(microseconds(1)));
        }
        std::size_t waiting = 0;
        std::vector<unique_fd> accepted;
        while (unique_fd each = incoming.take_ready()) {
            accepted.push_back(std::move(each));
            ++waiting;
        }
        EXPECT_GE(waiting, acceptor::backlog_max);
        EXPECT_LT(waiting, acceptor::backlog_max + 40);
        while (accepted.size() + 1 < clients.size()) {
            auto next = co_await incoming.next(soon());
            accepted.push_back(std::move(next.value()));
        }
        co_await incoming.finish();
    }(listening_.get(), where_));
    EXPECT_GT(loop_->statistics().rearms, 0U);
}

TEST_F(acceptor_test, running_out_of_descriptors_is_an_error_and_accepting_goes_on_after_it) {
    loop_->run([](int fd, const sockaddr_in& where) -> task<> {
        {
            // Once with descriptors to spare: UndefinedBehaviorSanitizer looks at objects of a type
            // that it has not seen yet through a pipe.
            acceptor rehearsal(ring::current(), fd);
            const unique_fd client = connect_to(where);
            EXPECT_TRUE(co_await rehearsal.next(soon()));
            co_await rehearsal.finish();
        }
        acceptor incoming(ring::current(), fd);
        const unique_fd client = connect_to(where);
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        // The lowest free number is the limit: not one more can be made.
        const int lowest_free = ::dup(0);
        ::close(lowest_free);
        const rlimit none_left{static_cast<rlim_t>(lowest_free), before.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &none_left);
        const auto refused = co_await incoming.next(soon());
        ::setrlimit(RLIMIT_NOFILE, &before);
        EXPECT_FALSE(refused);
        EXPECT_EQ(refused.error().os_error, EMFILE);
        EXPECT_TRUE(co_await incoming.next(soon()));
        co_await incoming.finish();
    }(listening_.get(), where_));
}

TEST_F(acceptor_test, finish_ends_a_pending_accept_and_keeps_what_was_accepted) {
    loop_->run([](int fd) -> task<> {
        acceptor incoming(ring::current(), fd);
        scope tasks;
        errc outcome{};
        tasks.spawn([](acceptor& from, errc& code) -> task<> {
            auto accepted = co_await from.next(soon());
            code = accepted.error().code;
        }(incoming, outcome));
        co_await sleep_until(after(milliseconds(1)));
        co_await incoming.finish();
        EXPECT_EQ(outcome, errc::closed);
        co_await tasks.join();
    }(listening_.get()));
}

TEST_F(acceptor_test, accepted_connections_that_nobody_takes_are_closed) {
    const auto before = test::open_descriptors();
    loop_->run([](int fd, const sockaddr_in& where) -> task<> {
        acceptor incoming(ring::current(), fd);
        const unique_fd one = connect_to(where);
        const unique_fd two = connect_to(where);
        EXPECT_TRUE(co_await incoming.next(soon()));
        co_await sleep_until(after(milliseconds(1)));
        co_await incoming.finish();
    }(listening_.get(), where_));
    EXPECT_EQ(test::open_descriptors(), before);
}

TEST(readiness, reports_each_change_once_and_ends_when_finished) {
    auto loop = ring::create().value();
    const unique_fd counter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    loop->run([](int fd) -> task<> {
        readiness watch(ring::current(), fd);
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ((co_await watch.next(after(milliseconds(1)))).error().code,
                      errc::deadline_exceeded);
            ::eventfd_write(fd, 1);
            EXPECT_TRUE(co_await watch.next(soon()));
            eventfd_t value = 0;
            ::eventfd_read(fd, &value);
        }
        co_await watch.finish();
        EXPECT_EQ((co_await watch.next(soon())).error().code, errc::closed);
    }(counter.get()));
}

TEST(multishot_death, destroyed_before_finish_stops_the_process) {
    EXPECT_DEATH(
        {
            auto loop = ring::create().value();
            auto pair = test::make_socket_pair();
            loop->run([](int fd) -> task<> {
                receiver from(ring::current(), fd);
                std::ignore = co_await from.next(after(milliseconds(1)));
            }(pair.ours.get()));
        },
        "before finish");
}

}  // namespace
}  // namespace hearth::uring
