#include <gtest/gtest.h>

#include "net/socket_stream.h"
#include "tests/support/certificates.h"
#include "tests/unit/http/server/running_server.h"
#include "tests/unit/http/server/test_client.h"
#include "tests/unit/http/server/texts.h"

namespace hearth::http {
namespace {

class server_tls : public testing::Test {
protected:
    server_tls() {
        test::write_self_signed(folder_ / "cert.pem", folder_ / "key.pem", "hearth.test");
        options_.tls =
            net::tls_context::for_server(folder_ / "cert.pem", folder_ / "key.pem").value();
    }

    // One exchange over TLS; the text of the response.
    task<std::string> exchange_text(std::uint16_t port, std::string request) {
        const deadline until = after(seconds(30));
        auto plain = co_await net::connect_stream(concat("127.0.0.1:", port), until);
        auto trust = net::tls_context::for_client(folder_ / "cert.pem").value();
        auto secure = co_await net::connect_tls(trust, std::move(*plain), "hearth.test", until);
        if (!secure) {
            co_return secure.error().message;
        }
        auto sent = co_await (*secure)->write(request, until);
        EXPECT_TRUE(sent.has_value());
        std::string text;
        for (;;) {
            auto piece = co_await (*secure)->read(until);
            if (!piece || piece->empty()) {
                break;
            }
            text += piece->text();
        }
        co_await (*secure)->close();
        co_return text;
    }

    test::temporary_folder folder_;
    server_options options_;
};

TEST_F(server_tls, serves_requests_in_order_and_large_bodies) {
    running_server host(options_);
    auto loop = uring::ring::create().value();
    const std::string text =
        loop->run(exchange_text(host.port(), get("/item/1") + post("/echo", "abc") +
                                                 get("/large", "Connection: close\r\n")));
    EXPECT_NE(text.find("1 -HTTP/1.1 200 OK"), std::string::npos);
    EXPECT_NE(text.find("abcHTTP/1.1 200 OK"), std::string::npos);
    EXPECT_GT(text.size(), large_body_bytes);
    host.stop();
    EXPECT_EQ(host.leaked_frames(), 0);
}

TEST_F(server_tls, closes_on_a_client_that_does_not_speak_it) {
    running_server host(options_);
    test_client client(host.port());
    client.send(get_root);
    EXPECT_FALSE(client.read_response());
    host.stop();
    EXPECT_EQ(host.leaked_frames(), 0);
}

TEST_F(server_tls, cuts_off_a_handshake_that_does_not_come) {
    options_.handshake_timeout = milliseconds(50);
    running_server host(options_);
    test_client client(host.port());
    EXPECT_FALSE(client.read_response());
}

}  // namespace
}  // namespace hearth::http
