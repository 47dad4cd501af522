// The HTTP client against our own server.

#include "http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/concat.h"
#include "net/listener.h"
#include "tests/support/certificates.h"
#include "tests/support/test_ring.h"
#include "tests/unit/http/server/running_server.h"

namespace hearth::http {
namespace {

using test::soon;
using ::testing::HasSubstr;

class http_client : public testing::Test {
protected:
    explicit http_client(const client_settings& settings = {})
        : client_(client::create(settings).value()) {
        running_->spawn(client_->run());
    }
    ~http_client() override {
        host_.on_server([this] { host_.app().released().set(); });
        running_->request_stop();
        loop_.run(running_->join());
    }

    [[nodiscard]] std::string url(std::string_view path) const {
        return concat("http://127.0.0.1:", host_.port(), path);
    }
    result<client_response> get(std::string url) {
        return loop_.run(client_->send({.url = std::move(url)}, soon()));
    }
    result<client_response> post(std::string_view path, std::string body) {
        return loop_.run(
            client_->send({.method = "POST", .url = url(path), .body = std::move(body)}, soon()));
    }

    running_server host_;
    test::test_ring loop_;
    std::unique_ptr<client> client_;
    std::optional<scope> running_{std::in_place};
};

TEST_F(http_client, a_response_has_status_headers_and_body) {
    const auto got = get(url("/item/seven?q=x"));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->status, 200);
    EXPECT_EQ(got->body, "seven x");
    EXPECT_THAT(got->header("content-type").value_or(""), HasSubstr("text/plain"));
    EXPECT_FALSE(got->header("absent"));
}

TEST_F(http_client, an_error_status_is_a_response) {
    const auto got = get(url("/nothing/here"));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->status, 404);
}

TEST_F(http_client, bodies_go_both_ways_unchanged) {
    std::string body(3u << 20, '\0');
    for (std::size_t i = 0; i < body.size(); ++i) {
        body[i] = static_cast<char>(i * 31);
    }
    const auto got = post("/echo", body);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->body, body);
    EXPECT_EQ(post("/echo", "")->body, "");
}

TEST_F(http_client, one_connection_serves_many_requests) {
    for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(get(url("/")));
    }
    EXPECT_EQ(client_->counts().connections, 1U);
    EXPECT_EQ(client_->counts().requests, 50U);
}

TEST_F(http_client, many_requests_at_once_are_all_answered) {
    std::vector<test::test_loop::pending<result<client_response>>> calls;
    for (int i = 0; i < 300; ++i) {
        calls.push_back(loop_.start(client_->send({.url = url(concat("/item/", i))}, soon())));
    }
    for (int i = 0; i < 300; ++i) {
        const auto got = calls[static_cast<std::size_t>(i)].get();
        ASSERT_TRUE(got) << got.error().message;
        EXPECT_EQ(got->body, concat(i, " -"));
    }
    EXPECT_LE(client_->counts().connections, client_settings{}.connections_per_host_max);
}

TEST_F(http_client, a_longer_answer_than_wanted_is_refused) {
    const auto got = loop_.run(
        client_->send({.url = url("/large"), .answer_bytes_max = large_body_bytes - 1}, soon()));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::too_large);
    const auto fits = loop_.run(
        client_->send({.url = url("/large"), .answer_bytes_max = large_body_bytes}, soon()));
    ASSERT_TRUE(fits);
    EXPECT_EQ(fits->body.size(), large_body_bytes);
}

TEST_F(http_client, a_deadline_ends_the_wait_and_the_next_request_is_served) {
    const auto late = loop_.run(client_->send({.url = url("/wait")}, after(milliseconds(30))));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, errc::deadline_exceeded);
    EXPECT_TRUE(get(url("/")));
    EXPECT_EQ(loop_.run(client_->send({.url = url("/")}, test::passed())).error().code,
              errc::deadline_exceeded);
}

TEST_F(http_client, a_stop_ends_the_wait) {
    auto waiting = loop_.start(client_->send({.url = url("/wait")}, soon()));
    loop_.run_until([this] { return client_->counts().requests == 1; });
    waiting.stop();
    EXPECT_EQ(waiting.get().error().code, errc::cancelled);
}

TEST_F(http_client, a_port_where_nobody_listens_is_unavailable) {
    const auto got = get(concat("http://127.0.0.1:", 1, "/"));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::unavailable);
    EXPECT_THAT(got.error().message, HasSubstr("127.0.0.1:1"));
}

TEST_F(http_client, other_schemes_are_not_followed) {
    for (const auto* target : {"file:///etc/passwd", "gopher://127.0.0.1/", "not a url"}) {
        const auto got = get(target);
        ASSERT_FALSE(got) << target;
        EXPECT_EQ(got.error().code, errc::invalid_argument) << target;
    }
}

TEST_F(http_client, a_header_cannot_bring_another_one) {
    for (const auto* value : {"a\r\nx-forged: 1", "a\nb", "\r"}) {
        const auto got =
            loop_.run(client_->send({.url = url("/"), .headers = {{"x-test", value}}}, soon()));
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code, errc::invalid_argument);
    }
}

TEST_F(http_client, a_server_that_hangs_up_is_unavailable) {
    auto outcome = loop_.run([](client& asking) -> task<result<client_response>> {
        net::listener incoming(net::open_listening_socket("127.0.0.1:0").value());
        scope answering;
        answering.spawn([](net::listener& from) -> task<void> {
            auto peer = co_await from.accept(soon());
            EXPECT_TRUE(co_await (*peer)->read(soon()));
            EXPECT_TRUE(co_await (*peer)->write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
                                                soon()));
            co_await (*peer)->close();
        }(incoming));
        auto got = co_await asking.send({.url = concat("http://127.0.0.1:", incoming.port(), "/")},
                                        soon());
        co_await answering.join();
        co_await incoming.close();
        co_return got;
    }(*client_));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, errc::unavailable);
}

class https_client : public testing::Test {
protected:
    https_client() {
        test::write_self_signed(folder_ / "cert.pem", folder_ / "key.pem", "localhost");
        options_.tls =
            net::tls_context::for_server(folder_ / "cert.pem", folder_ / "key.pem").value();
    }
    result<client_response> ask(const client_settings& settings) {
        const running_server host(options_);
        test::test_ring loop;
        auto asking = client::create(settings).value();
        scope running;
        running.spawn(asking->run());
        auto got =
            loop.run(asking->send({.url = concat("https://localhost:", host.port(), "/")}, soon()));
        running.request_stop();
        loop.run(running.join());
        return got;
    }

    test::temporary_folder folder_;
    server_options options_;
};

TEST_F(https_client, a_server_whose_authority_is_known_is_trusted) {
    const auto got = ask({.authorities_file = folder_ / "cert.pem"});
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->body, "hello");
}

TEST_F(https_client, any_other_is_not) {
    const auto got = ask({});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::unavailable);
}

}  // namespace
}  // namespace hearth::http
