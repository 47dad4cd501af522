#include "net/tls.h"

#include <array>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "coro/frame_pool.h"
#include "coro/scope.h"
#include "net/socket_stream.h"
#include "tests/support/certificates.h"
#include "tests/support/sockets.h"
#include "tests/support/test_executor.h"

namespace hearth::net {
namespace {

using test::patterned_text;
using test::soon;
using testing::HasSubstr;

struct connected {
    result<std::unique_ptr<stream>> client;
    result<std::unique_ptr<stream>> server;
};

class tls_test : public testing::Test {
protected:
    static void SetUpTestSuite() {
        folder_ = new test::temporary_folder;
        test::write_self_signed(*folder_ / "cert.pem", *folder_ / "key.pem", "hearth.test");
        test::write_self_signed(*folder_ / "other.pem", *folder_ / "other.key", "hearth.test");
        server_ =
            new auto(tls_context::for_server(*folder_ / "cert.pem", *folder_ / "key.pem").value());
        client_ = new auto(tls_context::for_client(*folder_ / "cert.pem").value());
    }
    static void TearDownTestSuite() {
        delete server_;
        delete client_;
        delete folder_;
    }
    void SetUp() override {
        loop_ = uring::ring::create().value();
        in_flight_ = loop_->in_flight();
        frames_ = this_thread_frames().live;
        descriptors_ = test::open_descriptors();
    }
    void TearDown() override {
        EXPECT_EQ(loop_->in_flight(), in_flight_);
        EXPECT_EQ(this_thread_frames().live, frames_);
        EXPECT_EQ(test::open_descriptors(), descriptors_);
    }

    static std::unique_ptr<stream> plain(unique_fd fd) {
        return std::make_unique<socket_stream>(std::move(fd), "test");
    }
    static task<> accept_into(result<std::unique_ptr<stream>>& out, unique_fd fd, deadline until) {
        out = co_await accept_tls(*server_, plain(std::move(fd)), until);
    }
    // Both ends of a connection, client and server in one loop.
    static task<connected> connect(std::string host,
                                   std::shared_ptr<const tls_context> trusting = *client_) {
        auto pair = test::make_socket_pair();
        connected both;
        scope tasks;
        tasks.spawn(accept_into(both.server, std::move(pair.theirs), soon()));
        both.client = co_await connect_tls(std::move(trusting), plain(std::move(pair.ours)),
                                           std::move(host), soon());
        co_await tasks.join();
        co_return both;
    }

    static inline test::temporary_folder* folder_ = nullptr;
    static inline std::shared_ptr<const tls_context>* server_ = nullptr;
    static inline std::shared_ptr<const tls_context>* client_ = nullptr;
    std::unique_ptr<uring::ring> loop_;
    unsigned in_flight_ = 0;
    std::uint64_t frames_ = 0;
    std::size_t descriptors_ = 0;
};

task<> close_both(connected& both) {
    co_await both.client.value()->close();
    co_await both.server.value()->close();
}
task<> write_and_end(stream& to, const std::string& text) {
    auto written = co_await to.write(text, soon());
    EXPECT_TRUE(written) << written.error().message;
    EXPECT_TRUE(co_await to.shutdown_write(soon()));
}
task<> read_to_end(stream& from, std::string& text) {
    for (;;) {
        auto some = co_await from.read(soon());
        EXPECT_TRUE(some) << some.error().message;
        if (!some || some->empty()) {
            co_return;
        }
        text += some->text();
    }
}

TEST_F(tls_test, a_handshake_and_a_message_each_way) {
    loop_->run([]() -> task<> {
        auto both = co_await connect("hearth.test");
        EXPECT_TRUE(both.client) << both.client.error().message;
        EXPECT_TRUE(both.server);
        EXPECT_TRUE(co_await both.client.value()->write("question", soon()));
        EXPECT_EQ((co_await both.server.value()->read(soon())).value().text(), "question");
        const std::array<std::string_view, 3> parts{"gathered ", "", "answer"};
        EXPECT_TRUE(co_await both.server.value()->write(parts, soon()));
        std::string answer;
        while (answer.size() < 15) {
            answer += (co_await both.client.value()->read(soon())).value().text();
        }
        EXPECT_EQ(answer, "gathered answer");
        co_await close_both(both);
    }());
}

// Neither end may wait with reading until it has written.
TEST_F(tls_test, carries_32_mb_both_ways_at_once) {
    loop_->run([]() -> task<> {
        auto both = co_await connect("hearth.test");
        const std::string up = patterned_text(32 << 20, 1);
        const std::string down = patterned_text(32 << 20, 2);
        std::string got_up;
        std::string got_down;
        scope tasks;
        tasks.spawn(write_and_end(**both.client, up));
        tasks.spawn(write_and_end(**both.server, down));
        tasks.spawn(read_to_end(**both.server, got_up));
        tasks.spawn(read_to_end(**both.client, got_down));
        co_await tasks.join();
        EXPECT_TRUE(got_up == up);
        EXPECT_TRUE(got_down == down);
        co_await close_both(both);
    }());
}

TEST_F(tls_test, a_stream_cut_without_close_notify_is_not_taken_for_its_end) {
    loop_->run([]() -> task<> {
        auto both = co_await connect("hearth.test");
        EXPECT_TRUE(co_await both.client.value()->write("first half", soon()));
        co_await both.client.value()->close();  // the connection ends, TLS has not said so
        EXPECT_EQ((co_await both.server.value()->read(soon())).value().text(), "first half");
        auto cut = co_await both.server.value()->read(soon());
        EXPECT_EQ(cut.error().code, errc::closed);
        EXPECT_THAT(cut.error().message, HasSubstr("close_notify"));
        co_await both.server.value()->close();
    }());
}

TEST_F(tls_test, the_wrong_host_and_an_unknown_authority_are_refused) {
    const auto trusting_other = tls_context::for_client(*folder_ / "other.pem").value();
    loop_->run([](std::shared_ptr<const tls_context> other) -> task<> {
        auto wrong_host = co_await connect("elsewhere.test");
        EXPECT_EQ(wrong_host.client.error().code, errc::protocol);
        EXPECT_THAT(wrong_host.client.error().message, HasSubstr("certificate verify failed"));
        EXPECT_FALSE(wrong_host.server);
        auto unknown = co_await connect("hearth.test", other);
        EXPECT_EQ(unknown.client.error().code, errc::protocol);
        EXPECT_FALSE(unknown.server);
    }(trusting_other));
}

TEST_F(tls_test, tls_1_1_is_refused_with_an_alert) {
    auto pair = test::make_socket_pair();
    std::string reported;
    std::thread old_client([&, fd = pair.ours.get()] {
        const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
            SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
        SSL_CTX_set_security_level(context.get(), 0);
        SSL_CTX_set_min_proto_version(context.get(), TLS1_1_VERSION);
        SSL_CTX_set_max_proto_version(context.get(), TLS1_1_VERSION);
        const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), &SSL_free);
        SSL_set_fd(ssl.get(), fd);
        EXPECT_NE(SSL_connect(ssl.get()), 1);
        std::array<char, 256> line{};
        ERR_error_string_n(ERR_get_error(), line.data(), line.size());
        reported = line.data();
    });
    result<std::unique_ptr<stream>> accepted;
    loop_->run(accept_into(accepted, std::move(pair.theirs), soon()));
    old_client.join();
    EXPECT_EQ(accepted.error().code, errc::protocol);
    EXPECT_THAT(accepted.error().message, HasSubstr("unsupported protocol"));
    EXPECT_THAT(reported, HasSubstr("alert protocol version"));
}

TEST_F(tls_test, a_silent_client_is_cut_off_at_the_handshakes_deadline) {
    auto pair = test::make_socket_pair();
    result<std::unique_ptr<stream>> accepted;
    loop_->run(accept_into(accepted, std::move(pair.theirs), after(milliseconds(5))));
    EXPECT_EQ(accepted.error().code, errc::deadline_exceeded);
    char byte = 0;
    EXPECT_EQ(::recv(pair.ours.get(), &byte, 1, 0), 0);  // the connection was closed
}

TEST_F(tls_test, a_client_that_speaks_something_else_is_refused) {
    for (const std::string& garbage :
         {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100, '\0'), patterned_text(5000)}) {
        auto pair = test::make_socket_pair();
        test::write_fully(pair.ours, garbage);
        result<std::unique_ptr<stream>> accepted;
        loop_->run(accept_into(accepted, std::move(pair.theirs), soon()));
        EXPECT_EQ(accepted.error().code, errc::protocol);
    }
}

TEST_F(tls_test, a_client_that_leaves_during_the_handshake_is_reported_as_closed) {
    auto pair = test::make_socket_pair();
    pair.ours.reset();
    result<std::unique_ptr<stream>> accepted;
    loop_->run(accept_into(accepted, std::move(pair.theirs), soon()));
    EXPECT_EQ(accepted.error().code, errc::closed);
}

// Passes bytes on, but flips one bit of what it reads once it is told to.
class damaging_stream final : public stream {
public:
    explicit damaging_stream(unique_fd fd) : inner_(std::move(fd), "damaged") {}
    task<result<io_buffer>> read(deadline until) override {
        auto some = co_await inner_.read(until);
        if (some && !some->empty() && damage) {
            std::string copy(some->text());
            copy.back() = static_cast<char>(copy.back() ^ 1);
            co_return io_buffer::copy_of(std::as_bytes(std::span(copy)));
        }
        co_return some;
    }
    task<result<>> write(write_parts parts, deadline until) override {
        return inner_.write(parts, until);
    }
    task<result<>> shutdown_write(deadline until) override { return inner_.shutdown_write(until); }
    task<void> close() override { return inner_.close(); }
    [[nodiscard]] const std::string& peer() const noexcept override { return inner_.peer(); }

    bool damage = false;

private:
    socket_stream inner_;
};

TEST_F(tls_test, a_damaged_record_is_an_error_and_the_peer_is_told) {
    loop_->run([]() -> task<> {
        auto pair = test::make_socket_pair();
        auto damaged = std::make_unique<damaging_stream>(std::move(pair.ours));
        damaging_stream& wire = *damaged;
        result<std::unique_ptr<stream>> server;
        scope tasks;
        tasks.spawn(accept_into(server, std::move(pair.theirs), soon()));
        auto client = co_await connect_tls(*client_, std::move(damaged), "hearth.test", soon());
        co_await tasks.join();
        EXPECT_TRUE(client);
        wire.damage = true;
        EXPECT_TRUE(co_await server.value()->write("to be damaged", soon()));
        auto got = co_await client.value()->read(soon());
        EXPECT_EQ(got.error().code, errc::protocol);
        auto told = co_await server.value()->read(soon());
        EXPECT_EQ(told.error().code, errc::protocol);
        EXPECT_THAT(told.error().message, HasSubstr("alert bad record mac"));
        co_await client.value()->close();
        co_await server.value()->close();
    }());
}

TEST_F(tls_test, close_ends_a_pending_read_and_write) {
    loop_->run([]() -> task<> {
        auto both = co_await connect("hearth.test");
        const std::string text(16 << 20, 'x');
        errc read{};
        errc write{};
        scope tasks;
        tasks.spawn([](stream& from, errc& outcome) -> task<> {
            outcome = (co_await from.read(soon())).error().code;
        }(**both.client, read));
        tasks.spawn([](stream& to, const std::string& data, errc& outcome) -> task<> {
            outcome = (co_await to.write(data, soon())).error().code;
        }(**both.client, text, write));
        co_await sleep_until(after(milliseconds(5)));
        co_await both.client.value()->close();
        EXPECT_EQ(read, errc::closed);
        EXPECT_EQ(write, errc::closed);
        both.client.value().reset();
        co_await tasks.join();
        co_await both.server.value()->close();
    }());
}

// Bytes in use of the heap; 0 under a sanitizer, which brings its own.
std::size_t heap_bytes() {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

TEST_F(tls_test, a_write_to_a_peer_that_does_not_read_keeps_little_in_memory) {
    loop_->run([]() -> task<> {
        auto both = co_await connect("hearth.test");
        const std::string text(16 << 20, 'x');
        const std::size_t before = heap_bytes();
        auto written = co_await both.client.value()->write(text, after(milliseconds(10)));
        EXPECT_EQ(written.error().code, errc::deadline_exceeded);
        EXPECT_LT(heap_bytes(), before + (1 << 20));
        co_await close_both(both);
    }());
}

TEST_F(tls_test, unusable_files_are_named_in_the_error) {
    const std::string broken = *folder_ / "broken.pem";
    std::ofstream(broken) << "not a certificate";
    const auto no_certificate = tls_context::for_server(broken, *folder_ / "key.pem");
    EXPECT_THAT(no_certificate.error().message, HasSubstr(broken));
    EXPECT_THAT(no_certificate.error().message, HasSubstr("HEARTH_TLS_CERT"));
    const auto missing_key = tls_context::for_server(*folder_ / "cert.pem", *folder_ / "missing");
    EXPECT_THAT(missing_key.error().message, HasSubstr("HEARTH_TLS_KEY"));
    const auto wrong_key = tls_context::for_server(*folder_ / "cert.pem", *folder_ / "other.key");
    EXPECT_THAT(wrong_key.error().message, HasSubstr("HEARTH_TLS_KEY"));
    EXPECT_FALSE(tls_context::for_client(*folder_ / "missing"));
}

}  // namespace
}  // namespace hearth::net
