// Listener, connect and socket streams over real sockets.

#include "net/socket_stream.h"

#include <array>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "base/concat.h"
#include "coro/frame_pool.h"
#include "coro/scope.h"
#include "coro/yield.h"
#include "net/address.h"
#include "net/listener.h"
#include "tests/support/certificates.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"
#include "tests/unit/net/read_to_end.h"

namespace hearth::net {
namespace {

using test::patterned_text;
using test::soon;
using ::testing::HasSubstr;

struct connected {
    std::unique_ptr<stream> client;
    std::unique_ptr<stream> server;
};

task<connected> connect_pair(const std::string& address) {
    listener incoming(open_listening_socket(address).value());
    const std::string target =
        incoming.port() == 0 ? address : concat("127.0.0.1:", incoming.port());
    connected both;
    scope tasks;
    tasks.spawn([](const std::string& to, std::unique_ptr<stream>& out) -> task<> {
        auto made = co_await connect_stream(to, soon());
        EXPECT_TRUE(made) << made.error().message;
        out = std::move(*made);
    }(target, both.client));
    auto accepted = co_await incoming.accept(soon());
    EXPECT_TRUE(accepted);
    both.server = std::move(*accepted);
    co_await tasks.join();
    co_await incoming.close();
    co_return both;
}

task<> close_both(connected& both) {
    co_await both.client->close();
    co_await both.server->close();
}

task<> write_in_parts(stream& to, const std::string& text, std::size_t part_bytes) {
    std::vector<std::string_view> parts;
    for (std::size_t at = 0; at < text.size(); at += part_bytes) {
        parts.emplace_back(std::string_view(text).substr(at, part_bytes));
        parts.emplace_back();  // an empty part changes nothing
    }
    auto written = co_await to.write(parts, soon());
    EXPECT_TRUE(written) << written.error().message;
    EXPECT_TRUE(co_await to.shutdown_write(soon()));
}

class socket_stream_test : public testing::Test {
protected:
    void SetUp() override {
        descriptors_ = test::open_descriptors();
        loop_ = uring::ring::create().value();
        in_flight_ = loop_->in_flight();
        frames_ = this_thread_frames().live;
        buffers_ = loop_->buffers().available();
    }
    void TearDown() override {
        EXPECT_EQ(loop_->in_flight(), in_flight_);
        EXPECT_EQ(this_thread_frames().live, frames_);
        EXPECT_EQ(loop_->buffers().available(), buffers_);
        loop_.reset();
        EXPECT_EQ(test::open_descriptors(), descriptors_);
    }
    std::size_t descriptors_ = 0;
    std::unique_ptr<uring::ring> loop_;
    unsigned in_flight_ = 0;
    unsigned buffers_ = 0;
    std::uint64_t frames_ = 0;
    test::temporary_folder folder_;
};

task<> exchange(std::string address, std::size_t bytes, std::size_t part_bytes) {
    auto both = co_await connect_pair(address);
    const std::string up = patterned_text(bytes, 1);
    const std::string down = patterned_text(bytes, 2);
    std::string got_up;
    std::string got_down;
    scope tasks;
    tasks.spawn(write_in_parts(*both.client, up, part_bytes));
    tasks.spawn(write_in_parts(*both.server, down, part_bytes));
    tasks.spawn(read_to_end(*both.server, got_up));
    tasks.spawn(read_to_end(*both.client, got_down));
    co_await tasks.join();
    EXPECT_TRUE(got_up == up);
    EXPECT_TRUE(got_down == down);
    co_await close_both(both);
}

constexpr std::size_t big = 64 << 20;

TEST_F(socket_stream_test, tcp_carries_64_mb_both_ways_at_once) {
    loop_->run(exchange("127.0.0.1:0", big, 1 << 20));
}

TEST_F(socket_stream_test, unix_carries_64_mb_both_ways_at_once) {
    loop_->run(exchange(folder_ / "socket", big, 1 << 20));
}

TEST_F(socket_stream_test, a_write_may_have_more_parts_than_the_kernel_takes_at_once) {
    loop_->run(exchange("127.0.0.1:0", 500'000, 97));
}

TEST_F(socket_stream_test, few_parts_and_none_are_written_too) {
    loop_->run([]() -> task<> {
        auto both = co_await connect_pair("127.0.0.1:0");
        EXPECT_TRUE(co_await both.client->write(write_parts(), soon()));
        EXPECT_TRUE(co_await both.client->write("", soon()));
        const std::array<std::string_view, 4> parts{"", "one ", "", "two"};
        EXPECT_TRUE(co_await both.client->write(parts, soon()));
        EXPECT_TRUE(co_await both.client->shutdown_write(soon()));
        std::string got;
        co_await read_to_end(*both.server, got);
        EXPECT_EQ(got, "one two");
        co_await close_both(both);
    }());
}

TEST_F(socket_stream_test, the_peers_are_named) {
    loop_->run([]() -> task<> {
        auto both = co_await connect_pair("127.0.0.1:0");
        EXPECT_TRUE(both.server->peer().starts_with("127.0.0.1:"));
        EXPECT_TRUE(both.client->peer().starts_with("127.0.0.1:"));
        co_await close_both(both);
    }());
}

TEST_F(socket_stream_test, after_a_half_close_the_other_direction_goes_on) {
    loop_->run([]() -> task<> {
        auto both = co_await connect_pair("127.0.0.1:0");
        EXPECT_TRUE(co_await both.client->write("question", soon()));
        EXPECT_TRUE(co_await both.client->shutdown_write(soon()));
        std::string got;
        co_await read_to_end(*both.server, got);
        EXPECT_EQ(got, "question");
        EXPECT_TRUE(co_await both.server->write("answer", soon()));
        auto answer = co_await both.client->read(soon());
        EXPECT_EQ(answer.value().text(), "answer");
        co_await close_both(both);
    }());
}

TEST_F(socket_stream_test, a_peer_that_resets_mid_write_ends_the_write_with_closed) {
    loop_->run([]() -> task<> {
        auto both = co_await connect_pair("127.0.0.1:0");
        scope tasks;
        errc outcome{};
        tasks.spawn([](stream& to, errc& code) -> task<> {
            const std::string text(64 << 20, 'x');
            auto written = co_await to.write(text, soon());
            code = written ? errc::internal : written.error().code;
        }(*both.client, outcome));
        EXPECT_TRUE(co_await both.server->read(soon()));
        co_await both.server->close();  // with bytes unread: a reset
        co_await tasks.join();
        EXPECT_EQ(outcome, errc::closed);
        co_await both.client->close();
    }());
}

TEST_F(socket_stream_test, a_write_to_a_peer_that_does_not_read_ends_at_its_deadline) {
    loop_->run([]() -> task<> {
        auto both = co_await connect_pair("127.0.0.1:0");
        const std::string text(64 << 20, 'x');
        auto written = co_await both.client->write(text, after(milliseconds(20)));
        EXPECT_EQ(written.error().code, errc::deadline_exceeded);
        co_await close_both(both);
    }());
}

task<> note_read(stream& from, errc& outcome) {
    auto some = co_await from.read(soon());
    outcome = some ? errc::internal : some.error().code;
}
task<> note_write(stream& to, const std::string& text, errc& outcome) {
    auto written = co_await to.write(text, soon());
    outcome = written ? errc::internal : written.error().code;
}

TEST_F(socket_stream_test, close_ends_a_pending_read_and_write_and_returns_after_both) {
    for (const bool unix : {false, true}) {
        loop_->run([](std::string address) -> task<> {
            auto both = co_await connect_pair(address);
            const std::string text(64 << 20, 'x');
            errc read{};
            errc write{};
            scope tasks;
            tasks.spawn(note_read(*both.client, read));
            tasks.spawn(note_write(*both.client, text, write));
            co_await sleep_until(after(milliseconds(2)));
            co_await both.client->close();
            EXPECT_EQ(read, errc::closed);
            EXPECT_EQ(write, errc::closed);
            both.client.reset();
            co_await tasks.join();
            co_await both.server->close();
        }(unix ? folder_ / "socket" : "127.0.0.1:0"));
    }
}

TEST_F(socket_stream_test, a_closed_stream_answers_closed) {
    loop_->run([]() -> task<> {
        auto both = co_await connect_pair("127.0.0.1:0");
        co_await both.client->close();
        co_await both.client->close();
        EXPECT_EQ((co_await both.client->read(soon())).error().code, errc::closed);
        EXPECT_EQ((co_await both.client->write("x", soon())).error().code, errc::closed);
        co_await both.server->close();
    }());
}

TEST_F(socket_stream_test, connecting_to_nobody_and_to_nonsense_are_errors) {
    loop_->run([](std::string path) -> task<> {
        auto nonsense = co_await connect_stream("not an address", soon());
        EXPECT_EQ(nonsense.error().code, errc::invalid_argument);
        auto missing = co_await connect_stream(path, soon());
        EXPECT_EQ(missing.error().code, errc::not_found);
    }(folder_ / "nobody"));
}

TEST_F(socket_stream_test, connecting_ends_at_its_deadline) {
    // A listening socket whose backlog is full answers nothing.
    const unique_fd listening = open_listening_socket("127.0.0.1:0", 0).value();
    const std::string target = concat("127.0.0.1:", local_port(listening.get()));
    loop_->run([](std::string address) -> task<> {
        std::vector<std::unique_ptr<stream>> taken;
        for (int i = 0; i < 8; ++i) {
            auto made = co_await connect_stream(address, after(milliseconds(50)));
            if (!made) {
                EXPECT_EQ(made.error().code, errc::deadline_exceeded);
                co_return;
            }
            taken.push_back(std::move(*made));
        }
        ADD_FAILURE() << "every connection was taken";
    }(target));
}

TEST_F(socket_stream_test, two_listeners_share_a_port) {
    const unique_fd first = open_listening_socket("127.0.0.1:0").value();
    const auto second = open_listening_socket(concat("127.0.0.1:", local_port(first.get())));
    EXPECT_TRUE(second);
}

TEST_F(socket_stream_test, a_stale_socket_file_is_replaced) {
    const std::string path = folder_ / "socket";
    open_listening_socket(path).value().reset();  // closed, as by a kill; its file stays
    EXPECT_TRUE(open_listening_socket(path));
}

TEST_F(socket_stream_test, the_socket_of_a_living_server_is_not_taken_away) {
    const std::string path = folder_ / "socket";
    const unique_fd living = open_listening_socket(path).value();
    const auto second = open_listening_socket(path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().os_error, EADDRINUSE);
    EXPECT_EQ(second.error().message,
              "cannot listen on " + path +
                  ", on which another server listens; stop it, or choose another path: Address "
                  "already in use");
}

TEST_F(socket_stream_test, a_socket_file_has_the_owner_and_mode_that_were_asked_for) {
    const std::string path = folder_ / "socket";
    // Who is not root can give it to nobody else.
    const bool root = ::geteuid() == 0;
    const socket_file file{.uid = root ? 54'321 : ::geteuid(), .gid = root ? 54'322 : ::getegid()};
    const mode_t before = ::umask(077);
    EXPECT_TRUE(open_listening_socket(path, listen_backlog_default, &file));
    EXPECT_EQ(::umask(before), 077U) << "the process's own mask stays";
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode, S_IFSOCK | 0660U);
    EXPECT_EQ(status.st_uid, file.uid);
    EXPECT_EQ(status.st_gid, file.gid);
}

TEST_F(socket_stream_test, the_socket_of_a_server_too_busy_to_answer_is_not_taken_away) {
    const std::string path = folder_ / "socket";
    const unique_fd busy = open_listening_socket(path, 0).value();
    const address where = parse_address(path).value();
    std::vector<unique_fd> clients;
    int connected = 0;
    while (connected == 0) {  // until its backlog is full
        clients.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        connected = ::connect(clients.back().get(), where.data(), where.size);
    }
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_FALSE(open_listening_socket(path));
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

TEST_F(socket_stream_test, a_file_that_is_not_a_socket_is_never_deleted) {
    const std::string path = folder_ / "precious";
    std::ofstream(path) << "data";
    EXPECT_THAT(open_listening_socket(path).error().message, HasSubstr("no socket"));
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_size, 4);
}

TEST_F(socket_stream_test, a_closed_listener_answers_closed_and_hands_out_what_it_had) {
    loop_->run([]() -> task<> {
        listener incoming(open_listening_socket("127.0.0.1:0").value());
        const std::string target = concat("127.0.0.1:", incoming.port());
        EXPECT_EQ((co_await incoming.accept(after(milliseconds(1)))).error().code,
                  errc::deadline_exceeded);
        auto client = co_await connect_stream(target, soon());
        EXPECT_TRUE(client);
        co_await sleep_until(after(milliseconds(1)));
        co_await incoming.close();
        auto left = incoming.take_ready();
        EXPECT_NE(left, nullptr);
        EXPECT_EQ(incoming.take_ready(), nullptr);
        EXPECT_EQ((co_await incoming.accept(soon())).error().code, errc::closed);
        EXPECT_EQ((co_await connect_stream(target, soon())).error().code, errc::unavailable);
        co_await client.value()->close();
        co_await left->close();
    }());
}

}  // namespace
}  // namespace hearth::net
