#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "http/options.h"
#include "tests/unit/http/server/running_server.h"
#include "tests/unit/http/server/test_client.h"
#include "tests/unit/http/server/texts.h"

namespace hearth::http {
namespace {

TEST(server_limits, drops_a_short_body_that_nobody_read_and_closes_on_a_long_one) {
    running_server host({.discard_bytes_max = 1000});
    test_client client(host.port());
    client.send(post("/ignore", std::string(1000, 'x')));
    EXPECT_EQ(client.read_response().value_or(client_response()).body, "ignored");
    client.send(in_chunks("/ignore", std::string(900, 'x'), 100));
    EXPECT_EQ(client.read_response().value_or(client_response()).body, "ignored");
    client.send(post("/ignore", std::string(3'000'000, 'x')));
    EXPECT_EQ(client.read_response().value_or(client_response()).header("connection"), "close");
    EXPECT_TRUE(client.at_end());
}

TEST(server_limits, delivers_its_refusal_to_a_client_that_sends_on) {
    running_server host({.body = {.body_bytes_max = 1000}});
    for (int i = 0; i < 20; ++i) {
        test_client client(host.port());
        EXPECT_TRUE(client.send(post("/echo", std::string(3'000'000, 'x'))));
        EXPECT_EQ(client.read_response().value_or(client_response()).status, 413);
        EXPECT_TRUE(client.at_end());
    }
}

TEST(server_limits, refuses_a_chunked_body_when_it_grows_over_the_handlers_limit) {
    running_server host;
    test_client client(host.port());
    client.send(in_chunks("/ten", "0123456789", 5));
    EXPECT_EQ(client.read_response().value_or(client_response()).body, "0123456789");
    client.send(in_chunks("/ten", "0123456789a", 5));
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 413);
}

TEST(server_limits, cuts_off_a_head_that_comes_too_slowly) {
    running_server host({.head_timeout = milliseconds(50)});
    test_client client(host.port());
    client.send("GET / HTTP/1.1\r\nHo");
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 408);
    EXPECT_TRUE(client.at_end());
}

TEST(server_limits, cuts_off_a_body_that_comes_too_slowly) {
    running_server host({.pace = {.grace = milliseconds(50)}});
    for (const std::string_view target : {"/echo", "/store"}) {
        test_client client(host.port());
        client.send(
            concat("POST ", target, " HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nab"));
        EXPECT_EQ(client.read_response().value_or(client_response()).status, 408);
        EXPECT_TRUE(client.at_end());
    }
}

TEST(server_limits, closes_an_idle_connection_without_a_word) {
    running_server host({.idle_timeout = milliseconds(50)});
    test_client fresh(host.port());
    EXPECT_TRUE(fresh.at_end());
    test_client used(host.port());
    used.send(get_root);
    EXPECT_EQ(used.read_response().value_or(client_response()).status, 200);
    EXPECT_TRUE(used.at_end());
}

TEST(server_limits, cuts_off_a_client_that_does_not_take_its_response) {
    exchange_log log;
    running_server host({.write_timeout = milliseconds(50), .write_bytes_per_second_min = 1u << 30},
                        &log);
    test_client client(host.port());
    client.send(get("/large") + get("/large"));
    host.stop();  // returns only when the connection is over
    EXPECT_EQ(host.counters().accepted, 1U);
    EXPECT_EQ(log.entries().size(), 1U);
}

TEST(server_limits, lets_clients_beyond_its_limit_wait_until_another_leaves) {
    running_server host({.connections_max = 2});
    test_client first(host.port());
    test_client second(host.port());
    for (test_client* each : {&first, &second}) {
        each->send(get_root);
        EXPECT_EQ(each->read_response().value_or(client_response()).status, 200);
    }
    test_client third(host.port());
    third.send(get_root);
    std::size_t at_once = 0;
    host.on_server([&] { at_once = host.web().connection_count(); });
    EXPECT_EQ(at_once, 2U);
    first.close();
    EXPECT_EQ(third.read_response().value_or(client_response()).status, 200);
    second.close();
    third.close();
    host.stop();
    EXPECT_GE(host.counters().pauses, 1U);
    EXPECT_EQ(host.counters().accepted, 3U);
}

TEST(server_limits, leaves_nothing_behind_when_clients_vanish_at_any_point) {
    constexpr int clients = 2000;
    const std::size_t descriptors_before = count_descriptors();
    {
        running_server host;
        const std::vector<std::string> requests = {
            get("/"),
            get("/large"),
            post("/echo", std::string(5000, 'x')),
            post("/ignore", std::string(5000, 'x')),
            in_chunks("/store", std::string(9000, 'x'), 100),
            "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
            get("/") + get("/") + "BROKEN\r\n\r\n"};
        std::mt19937 random(11);
        for (int i = 0; i < clients; ++i) {
            const std::string& text = requests[random() % requests.size()];
            test_client client(host.port());
            ASSERT_TRUE(client.connected());
            client.send(std::string_view(text).substr(0, random() % (text.size() + 1)));
            if (random() % 2 == 0) {
                client.reset_connection();
            }
        }
        test_client last(host.port());
        last.send(get_root);
        EXPECT_EQ(last.read_response().value_or(client_response()).status, 200);
        last.close();
        host.stop();
        EXPECT_EQ(host.counters().accepted, static_cast<std::uint64_t>(clients + 1));
        EXPECT_EQ(host.leaked_frames(), 0);
    }
    EXPECT_EQ(count_descriptors(), descriptors_before);
}

}  // namespace
}  // namespace hearth::http
