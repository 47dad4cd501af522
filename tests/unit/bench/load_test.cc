#include "bench/load/load.h"

#include <array>
#include <atomic>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/unique_fd.h"
#include "net/address.h"

namespace hearth::bench {
namespace {

constexpr std::string_view good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr std::string_view bad = "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";
constexpr milliseconds stall{300};

// Serves one connection at a time on a thread: request by request, each answered as told.
class scripted_server {
public:
    // Called with the number of the request, from 0; an empty answer closes the connection.
    using script = std::string_view (*)(std::uint64_t number);

    explicit scripted_server(script answers) : answers_(answers) {
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        HEARTH_CHECK(
            ::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0 &&
                ::listen(listening_.get(), 1) == 0,
            "no socket to listen on");
        address_ = concat("127.0.0.1:", net::local_port(listening_.get()));
        thread_ = std::thread([this] { serve(); });
    }
    ~scripted_server() {
        stopping_ = true;
        ::shutdown(listening_.get(), SHUT_RDWR);
        thread_.join();
    }
    scripted_server(const scripted_server&) = delete;
    scripted_server& operator=(const scripted_server&) = delete;

    [[nodiscard]] const std::string& address() const { return address_; }
    [[nodiscard]] std::uint64_t requests() const { return requests_; }

private:
    void serve() {
        while (!stopping_) {
            const unique_fd peer(::accept(listening_.get(), nullptr, nullptr));
            std::array<char, 4096> bytes{};
            while (peer && ::recv(peer.get(), bytes.data(), bytes.size(), 0) > 0) {
                const std::string_view answer = answers_(requests_++);
                if (answer.empty() ||
                    ::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) {
                    break;
                }
            }
        }
    }

    script answers_;
    unique_fd listening_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::string address_;
    std::atomic<bool> stopping_ = false;
    std::atomic<std::uint64_t> requests_ = 0;
    std::thread thread_;
};

load_plan plan_for(const scripted_server& server, milliseconds duration) {
    load_plan plan;
    plan.address = server.address();
    plan.duration = duration;
    plan.timeout = seconds(20);
    return plan;
}

const workload one_request{
    .repeated = {"GET / HTTP/1.1\r\n\r\n"}, .weights = {}, .once = {}, .success = {}};

TEST(load, a_closed_loop_counts_each_good_answer) {
    scripted_server server([](std::uint64_t) { return good; });
    const auto done = run_load(plan_for(server, milliseconds(100)), one_request);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_GT(done->from_sent.count(), 0U);
    EXPECT_EQ(done->from_sent.count(), server.requests());
    EXPECT_EQ(done->from_due.count(), done->from_sent.count());
    EXPECT_EQ(done->statuses.at(200), server.requests());
    EXPECT_EQ(done->connects, 1U);
    EXPECT_EQ(done->bytes_received, good.size() * server.requests());
    EXPECT_TRUE(done->errors.empty());
    EXPECT_GT(done->per_second(), 0);
}

TEST(load, an_open_loop_makes_each_call_that_is_due) {
    scripted_server server([](std::uint64_t) { return good; });
    load_plan plan = plan_for(server, milliseconds(200));
    plan.rate = 500;
    const auto done = run_load(plan, one_request);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->from_due.count(), 100U);
    EXPECT_EQ(server.requests(), 100U);
    EXPECT_EQ(done->not_sent, 0U);
}

// One answer is late and holds up those behind it. Their own answers are quick once they are sent,
// so that only the moment at which they were due shows what their callers waited.
TEST(load, a_stall_shows_in_every_call_that_it_held_up) {
    scripted_server server([](std::uint64_t number) {
        if (number == 10) {
            ::poll(nullptr, 0, static_cast<int>(stall.count()));
        }
        return good;
    });
    load_plan plan = plan_for(server, milliseconds(500));
    plan.rate = 200;
    const auto done = run_load(plan, one_request);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->from_due.count(), 100U);
    const auto half_ns = static_cast<std::uint64_t>(nanoseconds(stall / 2).count());
    const std::uint64_t slow_from_due = done->from_due.count() - done->from_due.count_to(half_ns);
    // Half the stall holds up 30 calls that wait at least the other half.
    EXPECT_GE(slow_from_due, 30U);
    EXPECT_GE(done->from_due.max(), 2 * half_ns);
    EXPECT_GE(done->from_due.mean(), done->from_sent.mean());
}

TEST(load, what_is_not_a_good_answer_is_counted_by_its_reason) {
    scripted_server server([](std::uint64_t number) {
        return number == 0 ? bad : number == 1 ? std::string_view() : good;
    });
    load_plan plan = plan_for(server, milliseconds(200));
    plan.rate = 50;
    const auto done = run_load(plan, one_request);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->errors.at("status 503"), 1U);
    EXPECT_EQ(done->errors.size(), 2U);
    EXPECT_EQ(done->from_due.count(), 8U);
    EXPECT_EQ(done->connects, 2U);
}

TEST(load, an_answer_that_does_not_say_success_is_an_error) {
    scripted_server server([](std::uint64_t) { return good; });
    load_plan plan = plan_for(server, milliseconds(100));
    plan.rate = 50;
    workload work = one_request;
    work.success = "SUCCEEDED";
    const auto done = run_load(plan, work);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->errors.at("the function failed"), 5U);
    EXPECT_EQ(done->from_due.count(), 0U);
}

TEST(load, a_call_without_an_answer_ends_at_its_timeout_and_the_rest_counts_as_not_sent) {
    scripted_server server([](std::uint64_t) {
        ::poll(nullptr, 0, static_cast<int>(stall.count()));
        return std::string_view();
    });
    load_plan plan = plan_for(server, milliseconds(100));
    plan.timeout = milliseconds(20);
    plan.rate = 1000;
    const auto done = run_load(plan, one_request);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->from_due.count(), 0U);
    std::uint64_t failed = 0;
    for (const auto& [reason, count] : done->errors) {
        failed += count;
    }
    EXPECT_GT(failed, 0U);
    EXPECT_EQ(failed + done->not_sent, 100U);
}

TEST(load, first_calls_end_the_load_when_they_are_used_up) {
    scripted_server server([](std::uint64_t) { return good; });
    workload work;
    work.once.assign(7, one_request.repeated.front());
    work.once_share = 1;
    const auto done = run_load(plan_for(server, seconds(60)), work);
    ASSERT_TRUE(done);
    EXPECT_EQ(server.requests(), 7U);
    EXPECT_EQ(done->from_sent.count(), 7U);
    EXPECT_LT(done->seconds, 60);
}

TEST(load, no_more_calls_are_made_than_asked_for) {
    scripted_server server([](std::uint64_t) { return good; });
    load_plan plan = plan_for(server, seconds(60));
    plan.calls_max = 5;
    const auto done = run_load(plan, one_request);
    ASSERT_TRUE(done);
    EXPECT_EQ(server.requests(), 5U);
    EXPECT_EQ(done->connects, 1U);
}

TEST(load, without_keeping_alive_each_call_has_a_connection) {
    scripted_server server([](std::uint64_t) { return good; });
    load_plan plan = plan_for(server, seconds(60));
    plan.calls_max = 5;
    plan.keep_alive = false;
    const auto done = run_load(plan, one_request);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->from_sent.count(), 5U);
    EXPECT_EQ(done->connects, 5U);
}

TEST(load, a_server_that_is_not_there_is_an_error_of_the_calls) {
    std::string address;
    {
        const scripted_server gone([](std::uint64_t) { return good; });
        address = gone.address();
    }
    load_plan plan;
    plan.address = address;
    plan.duration = milliseconds(50);
    plan.timeout = seconds(1);
    const auto done = run_load(plan, one_request);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->from_sent.count(), 0U);
    EXPECT_EQ(done->errors.size(), 1U);
}

}  // namespace
}  // namespace hearth::bench
