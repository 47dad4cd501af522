#include "http/server.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "base/ids.h"
#include "tests/unit/http/corpus.h"
#include "tests/unit/http/running_server.h"
#include "tests/unit/http/test_client.h"

namespace hearth::http {
namespace {

constexpr std::string_view get_root = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

std::string get(std::string_view target, std::string_view headers = "") {
    return concat("GET ", target, " HTTP/1.1\r\nHost: h\r\n", headers, "\r\n");
}
std::string post(std::string_view target, std::string_view body, std::string_view headers = "") {
    return concat("POST ", target, " HTTP/1.1\r\nHost: h\r\nContent-Length: ", body.size(), "\r\n",
                  headers, "\r\n", body);
}
std::string in_chunks(std::string_view target, std::string_view body, std::size_t chunk) {
    std::string text =
        concat("POST ", target, " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (std::size_t at = 0; at < body.size(); at += chunk) {
        const std::string_view piece = body.substr(at, chunk);
        char size[20];
        const int digits = std::snprintf(size, sizeof size, "%zx", piece.size());
        text +=
            concat(std::string_view(size, static_cast<std::size_t>(digits)), "\r\n", piece, "\r\n");
    }
    return text + "0\r\n\r\n";
}

// Keeps a copy of what the server reports.
class exchange_log final : public observer {
public:
    struct entry {
        std::string method, path, route, request_id;
        int status;
        std::uint64_t request_bytes, response_bytes;
    };

    void on_exchange(const exchange& done) noexcept override {
        const std::scoped_lock lock(mutex_);
        entries_.push_back({std::string(done.method), std::string(done.path),
                            std::string(done.route), std::string(done.request_id), done.status,
                            done.request_bytes, done.response_bytes});
    }
    [[nodiscard]] std::vector<entry> entries() {
        const std::scoped_lock lock(mutex_);
        return entries_;
    }

private:
    std::mutex mutex_;
    std::vector<entry> entries_;
};

TEST(server, answers_the_wire_corpus_as_the_parsers_do_and_then_closes) {
    running_server host;
    for (const wire_case& each : wire_cases()) {
        test_client client(host.port());
        client.send(each.bytes);
        client.shutdown_write();
        std::vector<int> statuses;
        while (const auto answer = client.read_response()) {
            statuses.push_back(answer->status);
            if (answer->status >= 400) {
                EXPECT_EQ(answer->header("connection"), "close") << each.name;
                EXPECT_EQ(answer->header("content-type"), "application/json") << each.name;
                EXPECT_TRUE(is_well_formed_id(answer->header("x-request-id"))) << each.name;
            }
        }
        EXPECT_EQ(statuses, each.statuses) << each.name;
    }
    host.stop();
    EXPECT_EQ(host.leaked_frames(), 0);
}

TEST(server, refuses_the_corpus_at_once_without_waiting_for_the_client_to_end) {
    running_server host;
    for (const wire_case& each : wire_cases()) {
        if (each.statuses.empty() || each.statuses.back() < 400) {
            continue;
        }
        test_client client(host.port());
        client.send(each.bytes);
        std::vector<int> statuses;
        while (const auto answer = client.read_response()) {
            statuses.push_back(answer->status);
        }
        EXPECT_EQ(statuses, each.statuses) << each.name;
    }
}

TEST(server, keeps_a_connection_for_many_requests) {
    running_server host;
    test_client client(host.port());
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(client.send(get(concat("/item/", i, "?q=a+b"))));
        const auto answer = client.read_response();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status, 200);
        EXPECT_EQ(answer->body, concat(i, " a b"));
        EXPECT_EQ(answer->header("connection"), "");
        EXPECT_EQ(answer->header("date").size(),
                  std::string_view("Sun, 06 Nov 1994 08:49:37 GMT").size());
    }
}

TEST(server, answers_pipelined_requests_in_order) {
    running_server host;
    test_client client(host.port());
    std::string all;
    for (int i = 0; i < 200; ++i) {
        all += get(concat("/item/", i));
        all += post("/echo", concat("body ", i));
        all += in_chunks("/echo", concat("chunked ", i), 3);
    }
    client.send(all);
    for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(client.read_response().value_or(client_response()).body, concat(i, " -"));
        EXPECT_EQ(client.read_response().value_or(client_response()).body, concat("body ", i));
        EXPECT_EQ(client.read_response().value_or(client_response()).body, concat("chunked ", i));
    }
}

TEST(server, answers_head_as_get_without_the_body) {
    running_server host;
    test_client client(host.port());
    client.send(concat("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", get("/")));
    const auto head = client.read_response(true);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->status, 200);
    EXPECT_EQ(head->header("content-length"), "5");
    EXPECT_EQ(client.read_response().value_or(client_response()).body, "hello");
}

TEST(server, closes_when_the_client_or_http_1_0_wants_it) {
    running_server host;
    for (const std::string& text :
         {get("/", "Connection: close\r\n"), std::string("GET / HTTP/1.0\r\n\r\n")}) {
        test_client client(host.port());
        client.send(text);
        EXPECT_EQ(client.read_response().value_or(client_response()).header("connection"), "close");
        EXPECT_TRUE(client.at_end());
    }
    test_client client(host.port());
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(client.read_response().value_or(client_response()).header("connection"),
              "keep-alive");
    client.send(get_root);
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 200);
}

TEST(server, answers_404_405_with_allow_and_options) {
    running_server host;
    test_client client(host.port());
    client.send(get("/nothing"));
    const auto missing = client.read_response();
    ASSERT_TRUE(missing);
    EXPECT_EQ(missing->status, 404);
    EXPECT_NE(missing->body.find(R"("code":"not_found")"), std::string::npos);
    EXPECT_NE(missing->body.find(concat(R"("requestId":")", missing->header("x-request-id"))),
              std::string::npos);
    client.send(post("/item/1", "abc"));
    const auto refused = client.read_response();
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 405);
    EXPECT_EQ(refused->header("allow"), "GET, HEAD, OPTIONS");
    client.send("OPTIONS /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    const auto options = client.read_response();
    ASSERT_TRUE(options);
    EXPECT_EQ(options->status, 204);
    EXPECT_EQ(options->header("allow"), "POST, OPTIONS");
    EXPECT_EQ(options->header("content-length"), "");
    client.send(get_root);
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 200);
}

TEST(server, gives_every_response_the_clients_request_id_or_a_new_one) {
    running_server host;
    test_client client(host.port());
    client.send(get("/", "X-Request-Id: caller.7\r\n"));
    EXPECT_EQ(client.read_response().value_or(client_response()).header("x-request-id"),
              "caller.7");
    client.send(get("/nothing", "X-Request-Id: caller.8\r\n"));
    EXPECT_EQ(client.read_response().value_or(client_response()).header("x-request-id"),
              "caller.8");
    for (const std::string_view malformed : {"", "a b", "<script>", "a\"b"}) {
        client.send(get("/", concat("X-Request-Id: ", malformed, "\r\n")));
        EXPECT_EQ(client.read_response().value_or(client_response()).header("x-request-id").size(),
                  36U);
    }
}

TEST(server, sends_100_continue_only_when_the_handler_reads) {
    running_server host;
    test_client client(host.port());
    client.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 100);
    client.send("abc");
    EXPECT_EQ(client.read_response().value_or(client_response()).body, "abc");
    client.send(
        "POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    const auto final_answer = client.read_response();
    ASSERT_TRUE(final_answer);
    EXPECT_EQ(final_answer->status, 200);
    EXPECT_EQ(final_answer->header("connection"), "close");
    EXPECT_TRUE(client.at_end());
}

TEST(server, does_not_send_100_continue_when_the_body_is_there_or_is_refused) {
    running_server host;
    test_client client(host.port());
    client.send(post("/echo", "abc", "Expect: 100-continue\r\n"));
    EXPECT_EQ(client.read_response().value_or(client_response()).body, "abc");
    client.send(
        "POST /ten HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 413);
    EXPECT_TRUE(client.at_end());
}

TEST(server, drops_a_short_body_that_nobody_read_and_closes_on_a_long_one) {
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

TEST(server, delivers_its_refusal_to_a_client_that_sends_on) {
    running_server host({.body = {.body_bytes_max = 1000}});
    for (int i = 0; i < 20; ++i) {
        test_client client(host.port());
        EXPECT_TRUE(client.send(post("/echo", std::string(3'000'000, 'x'))));
        EXPECT_EQ(client.read_response().value_or(client_response()).status, 413);
        EXPECT_TRUE(client.at_end());
    }
}

TEST(server, refuses_a_chunked_body_when_it_grows_over_the_handlers_limit) {
    running_server host;
    test_client client(host.port());
    client.send(in_chunks("/ten", "0123456789", 5));
    EXPECT_EQ(client.read_response().value_or(client_response()).body, "0123456789");
    client.send(in_chunks("/ten", "0123456789a", 5));
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 413);
}

TEST(server, streams_an_upload_to_a_file) {
    running_server host;
    std::mt19937 random(7);
    std::string body(3'000'001, '\0');
    std::uint64_t sum = 0;
    for (char& each : body) {
        each = static_cast<char>(random());
        sum += static_cast<unsigned char>(each);
    }
    const std::string expected = concat(body.size(), " ", sum, " ", std::hash<std::string>{}(body));
    test_client client(host.port());
    client.send(post("/store", body));
    EXPECT_EQ(client.read_response().value_or(client_response()).body, expected);
    client.send(in_chunks("/store", body, 70'001));
    EXPECT_EQ(client.read_response().value_or(client_response()).body, expected);
    client.send(post("/store", ""));
    EXPECT_EQ(client.read_response().value_or(client_response()).body,
              concat("0 0 ", std::hash<std::string>{}("")));
}

TEST(server, sends_a_large_body_of_several_parts) {
    running_server host;
    test_client client(host.port());
    for (int i = 0; i < 3; ++i) {
        client.send(get("/large"));
        const auto answer = client.read_response();
        ASSERT_TRUE(answer);
        ASSERT_EQ(answer->body.size(), large_body_bytes);
        EXPECT_EQ(answer->body.front(), '[');
        EXPECT_EQ(answer->body.back(), ']');
    }
}

TEST(server, cuts_off_a_head_that_comes_too_slowly) {
    running_server host({.head_timeout = milliseconds(50)});
    test_client client(host.port());
    client.send("GET / HTTP/1.1\r\nHo");
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 408);
    EXPECT_TRUE(client.at_end());
}

TEST(server, cuts_off_a_body_that_comes_too_slowly) {
    running_server host({.pace = {.grace = milliseconds(50)}});
    for (const std::string_view target : {"/echo", "/store"}) {
        test_client client(host.port());
        client.send(
            concat("POST ", target, " HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nab"));
        EXPECT_EQ(client.read_response().value_or(client_response()).status, 408);
        EXPECT_TRUE(client.at_end());
    }
}

TEST(server, closes_an_idle_connection_without_a_word) {
    running_server host({.idle_timeout = milliseconds(50)});
    test_client fresh(host.port());
    EXPECT_TRUE(fresh.at_end());
    test_client used(host.port());
    used.send(get_root);
    EXPECT_EQ(used.read_response().value_or(client_response()).status, 200);
    EXPECT_TRUE(used.at_end());
}

TEST(server, cuts_off_a_client_that_does_not_take_its_response) {
    exchange_log log;
    running_server host({.write_timeout = milliseconds(50), .write_bytes_per_second_min = 1u << 30},
                        &log);
    test_client client(host.port());
    client.send(get("/large") + get("/large"));
    host.stop();  // returns only when the connection is over
    EXPECT_EQ(host.counters().accepted, 1U);
    EXPECT_EQ(log.entries().size(), 1U);
}

TEST(server, reports_each_exchange_with_its_route) {
    exchange_log log;
    running_server host({}, &log);
    {
        test_client client(host.port());
        client.send(get("/item/7?q=x") + post("/echo", "abc") + get("/nothing/7") +
                    "GET / HTTP/9.9\r\n\r\n");
        while (client.read_response()) {
        }
    }
    host.stop();
    const auto entries = log.entries();
    ASSERT_EQ(entries.size(), 4U);
    EXPECT_EQ(entries[0].method, "GET");
    EXPECT_EQ(entries[0].path, "/item/7");
    EXPECT_EQ(entries[0].route, "/item/:id");
    EXPECT_EQ(entries[0].status, 200);
    EXPECT_EQ(entries[0].response_bytes, 3U);
    EXPECT_EQ(entries[1].request_bytes, 3U);
    EXPECT_EQ(entries[2].route, router::unmatched);
    EXPECT_EQ(entries[2].status, 404);
    EXPECT_EQ(entries[3].method, "");
    EXPECT_EQ(entries[3].status, 505);
    EXPECT_EQ(host.counters().exchanges, 4U);
}

TEST(server, reports_a_client_that_left_before_its_request_ended) {
    exchange_log log;
    running_server host({}, &log);
    {
        test_client client(host.port());
        client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nab");
    }
    host.stop();
    ASSERT_EQ(log.entries().size(), 1U);
    EXPECT_EQ(log.entries()[0].status, 499);
}

TEST(server, lets_clients_beyond_its_limit_wait_until_another_leaves) {
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

TEST(server, leaves_nothing_behind_when_clients_vanish_at_any_point) {
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
