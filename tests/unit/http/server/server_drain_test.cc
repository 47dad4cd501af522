#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "http/server.h"
#include "tests/unit/http/server/running_server.h"
#include "tests/unit/http/server/test_client.h"
#include "tests/unit/http/server/texts.h"

namespace hearth::http {
namespace {

TEST(server_drain, closes_idle_connections_and_refuses_new_ones) {
    running_server host;
    test_client idle(host.port());
    idle.send(get_root);
    EXPECT_EQ(idle.read_response().value_or(client_response()).status, 200);
    host.begin_drain();
    EXPECT_TRUE(idle.at_end());
    host.stop();
    EXPECT_FALSE(test_client(host.port()).connected());
    EXPECT_EQ(host.leaked_frames(), 0);
}

TEST(server_drain, lets_a_request_that_is_being_answered_finish) {
    running_server host;
    auto waiting = host.app().waiting.get_future();
    test_client busy(host.port());
    busy.send(get("/wait"));
    waiting.wait();
    host.begin_drain();
    host.on_server([&] { host.app().released().set(); });
    const auto answer = busy.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, "waited");
    EXPECT_EQ(answer->header("connection"), "close");
    EXPECT_TRUE(busy.at_end());
    host.stop();
    EXPECT_EQ(host.leaked_frames(), 0);
}

TEST(server_drain, answers_a_request_whose_body_is_still_coming) {
    running_server host;
    test_client client(host.port());
    client.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 100);
    host.begin_drain();
    client.send("abcd");
    EXPECT_EQ(client.read_response().value_or(client_response()).body, "abcd");
    EXPECT_TRUE(client.at_end());
}

TEST(server_drain, gives_a_new_connection_time_for_its_first_request) {
    running_server host;
    test_client client(host.port());
    bool admitted = false;
    while (!admitted) {  // connect() returns before the server has accepted
        host.on_server([&] { admitted = host.web().connection_count() == 1; });
    }
    host.begin_drain();
    client.send(get_root);
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header("connection"), "close");
}

TEST(server_drain, cuts_off_what_is_left_at_the_end_of_the_grace) {
    running_server host;
    auto waiting = host.app().waiting.get_future();
    test_client stuck(host.port());
    stuck.send(get("/wait"));
    test_client half(host.port());
    half.send("GET / HTT");
    waiting.wait();
    host.begin_drain(milliseconds(30));
    EXPECT_TRUE(half.at_end());
    stuck.read_response();
    host.stop();
    EXPECT_EQ(host.leaked_frames(), 0);
}

// Clients in a loop on kept connections: what was sent is answered, or the server had said before
// that it would close.
TEST(server_drain, drops_no_request_under_load) {
    for (int round = 0; round < 5; ++round) {
        running_server host;
        std::atomic<int> answered = 0;
        std::atomic<int> dropped = 0;
        std::atomic<bool> loaded = false;
        std::vector<std::thread> clients;
        for (int i = 0; i < 8; ++i) {
            clients.emplace_back([&] {
                for (;;) {
                    test_client client(host.port());
                    int served = 0;
                    for (bool open = client.connected(); open; ++served) {
                        client.send(get_root);
                        const auto answer = client.read_response();
                        if (!answer) {
                            dropped += served > 0 ? 1 : 0;
                            return;
                        }
                        loaded = ++answered > 500;
                        loaded.notify_all();
                        open = answer->header("connection") != "close";
                    }
                    if (served == 0) {
                        return;
                    }
                }
            });
        }
        loaded.wait(false);
        host.stop();
        for (std::thread& each : clients) {
            each.join();
        }
        EXPECT_EQ(dropped, 0);
        EXPECT_EQ(host.counters().exchanges, static_cast<std::uint64_t>(answered));
        EXPECT_EQ(host.leaked_frames(), 0);
    }
}

}  // namespace
}  // namespace hearth::http
