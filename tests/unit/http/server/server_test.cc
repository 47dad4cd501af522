#include "http/server.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "tests/unit/http/corpus.h"
#include "tests/unit/http/server/running_server.h"
#include "tests/unit/http/server/test_client.h"
#include "tests/unit/http/server/texts.h"

namespace hearth::http {
namespace {

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

TEST(server, hands_on_a_form_as_a_stream_and_keeps_the_connection) {
    running_server host;
    const std::string large(200'000, 'x');
    const std::string form = concat(
        "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B\r\n"
        "Content-Disposition: form-data; name=b; filename=f\r\n\r\n",
        large, "\r\n--B--\r\n", std::string(10'000, 'e'));
    const std::string_view type = "Content-Type: multipart/form-data; boundary=B\r\n";
    test_client client(host.port());
    for (int i = 0; i < 2; ++i) {
        client.send(post("/form", form, type));
        EXPECT_EQ(client.read_response().value_or(client_response()).body,
                  concat("a=1;b=", large, ";"));
    }
    client.send(post("/form", form.substr(0, 100'000), type));
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 400);
    client.send(post("/form", form));
    EXPECT_EQ(client.read_response().value_or(client_response()).status, 400);
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

}  // namespace
}  // namespace hearth::http
