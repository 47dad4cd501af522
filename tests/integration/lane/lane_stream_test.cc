#include <gmock/gmock.h>
#include <sys/socket.h>

#include "net/address.h"
#include "net/listener.h"
#include "net/tls.h"
#include "tests/integration/lane/lane_fixture.h"
#include "tests/support/certificates.h"
#include "worker/lane_probe.h"

// Lanes over listeners and their addresses, and who is let in there.

namespace hearth {
namespace {

using test::soon;
using ::testing::HasSubstr;

// Hub and client over a listener, as the programs have them.
class lane_streams : public test::lane_fixture {
protected:
    void listen(const std::string& address, std::shared_ptr<const net::tls_context> tls = {}) {
        listening_ = std::make_unique<net::listener>(net::open_listening_socket(address).value());
        accepting_ = std::make_unique<scope>();
        accepting_->spawn(hub_->serve(*listening_, std::move(tls)));
    }
    void stop_listening() {
        if (listening_) {
            accepting_->request_stop();
            loop_.run(listening_->close());
            loop_.ring().run(accepting_->join());
            listening_.reset();
        }
    }
    void TearDown() override {
        stop_listening();
        lane_fixture::TearDown();
    }
    test::test_worker& connect(const std::string& url,
                               std::shared_ptr<const net::tls_context> tls = {}) {
        auto& made =
            make_worker("worker-1", {.controller = worker::parse_lane_endpoint(url).value(),
                                     .token = token,
                                     .tls = std::move(tls),
                                     .pause_base = milliseconds(1),
                                     .pause_max = milliseconds(5)});
        serving_.spawn(made.client.run());
        return made;
    }
    [[nodiscard]] std::string url(std::string_view scheme = "tcp") const {
        return concat(scheme, "://127.0.0.1:", listening_->port());
    }

    std::unique_ptr<net::listener> listening_;
    std::unique_ptr<scope> accepting_;
};

TEST_F(lane_streams, a_call_goes_over_tcp) {
    listen("127.0.0.1:0");
    connect(url());
    loop_.run_until([&] { return hub_->scheduler().credits() > 0; });
    EXPECT_EQ(answer_of(invoke(call())), "null");
}

TEST_F(lane_streams, a_call_goes_over_a_unix_socket) {
    const test::temporary_folder folder;
    listen(folder / "lane");
    connect(concat("unix:", folder / "lane"));
    loop_.run_until([&] { return hub_->scheduler().credits() > 0; });
    EXPECT_EQ(answer_of(invoke(call())), "null");
    loop_.run(workers_.front()->client.finish(soon()));
    stop_listening();
}

TEST_F(lane_streams, a_call_goes_over_tls_with_the_largest_payload) {
    const test::temporary_folder folder;
    test::write_self_signed(folder / "cert.pem", folder / "key.pem", "localhost");
    listen("127.0.0.1:0",
           net::tls_context::for_server(folder / "cert.pem", folder / "key.pem").value());
    auto& worker = connect(concat("tls://localhost:", listening_->port()),
                           net::tls_context::for_client(folder / "cert.pem").value());
    worker.invoker.script = [](const faas::invocation& got) -> task<result<faas::outcome>> {
        co_return test::scripted_invoker::succeeding(got.event);
    };
    loop_.run_until([&] { return hub_->scheduler().credits() > 0; });
    const auto event = test::patterned_text(faas::payload_bytes_max);
    const auto end = invoke(call("f", event));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->result_json, event);
}

TEST_F(lane_streams, a_stranger_without_tls_is_closed) {
    const test::temporary_folder folder;
    test::write_self_signed(folder / "cert.pem", folder / "key.pem", "localhost");
    listen("127.0.0.1:0",
           net::tls_context::for_server(folder / "cert.pem", folder / "key.pem").value());
    auto link = loop_.run(net::connect_stream(concat("127.0.0.1:", listening_->port()), soon()));
    ASSERT_TRUE(link);
    std::string frames;
    lane::append(frames, lane::hello{.token = token, .worker_id = "stranger"});
    ASSERT_TRUE(loop_.run((*link)->write(frames, soon())));
    loop_.run_until([&] { return hub_->statistics().refused == 1; });
    loop_.run((*link)->close());
}

TEST_F(lane_streams, a_worker_comes_back_to_a_controller_that_was_restarted) {
    listen("127.0.0.1:0");
    const auto address = concat("127.0.0.1:", listening_->port());
    auto& worker = connect(url());
    loop_.run_until([&] { return hub_->scheduler().credits() > 0; });
    stop_listening();
    open_hub({});
    loop_.run_until([&] { return worker.client.statistics().failed > 0; });
    listen(address);
    loop_.run_until([&] { return hub_->scheduler().credits() > 0; });
    EXPECT_EQ(answer_of(invoke(call())), "null");
}

TEST_F(lane_streams, a_worker_ends_while_it_waits_to_try_again) {
    auto& worker = make_worker("worker-1", {.controller = {.host = "/nowhere/lane"},
                                            .token = token,
                                            .pause_base = milliseconds(60'000)});
    auto running = loop_.start(worker.client.run());
    loop_.run_until([&] { return worker.client.statistics().failed == 1; });
    loop_.run(worker.client.finish(soon()));
    running.get();
    EXPECT_EQ(worker.client.statistics().failed, 1u) << "it did not try again";
}

// Connections that say nothing, more than there are places, and then a worker.
TEST_F(lane_streams, silent_strangers_keep_no_worker_from_its_lane) {
    constexpr std::size_t silent = 200;
    const test::temporary_folder folder;
    test::write_self_signed(folder / "cert.pem", folder / "key.pem", "localhost");
    const auto secret =
        net::tls_context::for_server(folder / "cert.pem", folder / "key.pem").value();
    const auto trust = net::tls_context::for_client(folder / "cert.pem").value();
    for (const bool tls : {false, true}) {
        open_hub({.hello_wait = seconds(60)});
        listen("127.0.0.1:0", tls ? secret : nullptr);
        const auto where = net::parse_address(concat("127.0.0.1:", listening_->port())).value();
        std::vector<unique_fd> strangers;
        for (std::size_t i = 0; i < silent; ++i) {
            strangers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            ASSERT_EQ(::connect(strangers.back().get(), where.data(), where.size), 0);
        }
        const deadline limit = after(seconds(30));
        auto& worker = connect(tls ? concat("tls://localhost:", listening_->port()) : url(), trust);
        loop_.run_until([&] { return hub_->lanes() == 1 || steady_clock::now() > limit; });
        EXPECT_EQ(hub_->lanes(), 1u);
        EXPECT_EQ(worker.client.statistics().failed, 0u) << "at its first attempt";
        EXPECT_GE(hub_->statistics().crowded_out,
                  silent - ctrl::lane_strangers::places_of_one_origin);
        EXPECT_LE(hub_->strangers(), ctrl::lane_strangers::places_of_one_origin);
        strangers.clear();
        loop_.run_until([&] { return hub_->strangers() == 0; });
        EXPECT_EQ(hub_->statistics().refused, silent);
        loop_.run(worker.client.finish(soon()));
        stop_listening();
    }
}

TEST_F(lane_streams, a_stream_without_a_word_is_closed_after_a_short_wait) {
    open_hub({.hello_wait = milliseconds(5)});
    listen("127.0.0.1:0");
    auto link = loop_.run(net::connect_stream(concat("127.0.0.1:", listening_->port()), soon()));
    ASSERT_TRUE(link);
    const auto said = loop_.run((*link)->read(soon()));
    ASSERT_TRUE(said);
    EXPECT_TRUE(said->empty()) << "it was closed";
    loop_.run((*link)->close());
    loop_.run_until([&] { return hub_->statistics().refused == 1; });
    EXPECT_LE(ctrl::lane_hub_options{}.hello_wait, seconds(2));
}

TEST_F(lane_streams, a_question_for_a_lane_tells_what_a_worker_would_meet) {
    const test::temporary_folder folder;
    test::write_self_signed(folder / "cert.pem", folder / "key.pem", "localhost");
    const auto secret =
        net::tls_context::for_server(folder / "cert.pem", folder / "key.pem").value();
    const auto trust = net::tls_context::for_client(folder / "cert.pem").value();
    const auto ask = [&](const std::string& text, const std::string& shown = token) {
        return loop_.run(worker::try_lane(lookups_, worker::parse_lane_endpoint(text).value(),
                                          trust, shown, soon()));
    };
    listen(folder / "lane");
    EXPECT_TRUE(ask(concat("unix:", folder / "lane")));
    stop_listening();
    listen("127.0.0.1:0", secret);
    const auto tls = concat("tls://localhost:", listening_->port());
    EXPECT_TRUE(ask(tls));
    EXPECT_FALSE(ask(concat("tls://127.0.0.1:", listening_->port()))) << "another name";
    stop_listening();
    EXPECT_EQ(ask(tls).error().code, errc::unavailable) << "nobody listens any more";
    listen("127.0.0.1:0");
    EXPECT_TRUE(ask(url()));
    loop_.run_until([&] { return hub_->lanes() == 0; });
    const auto wrong = ask(url(), "guess");
    EXPECT_EQ(wrong.error().code, errc::permission_denied);
    EXPECT_THAT(wrong.error().message, HasSubstr("set the same on both"));
    add_worker("worker-1");
    EXPECT_TRUE(ask(url())) << "a lane more does no harm to the others";
    EXPECT_EQ(answer_of(invoke(call())), "null");
}

TEST_F(lane_streams, what_is_no_lane_is_told_by_the_question_for_one) {
    net::listener http(net::open_listening_socket("127.0.0.1:0").value());
    auto answering = loop_.start([](net::listener& from) -> task<void> {
        auto peer = co_await from.accept(soon());
        EXPECT_TRUE(co_await (*peer)->write("HTTP/1.1 400 Bad Request\r\n\r\n", soon()));
        while (true) {
            auto some = co_await (*peer)->read(soon());
            if (!some || some->empty()) {
                break;
            }
        }
        co_await (*peer)->close();
    }(http));
    const auto asked = loop_.run(worker::try_lane(
        lookups_, {.host = "127.0.0.1", .port = http.port()}, nullptr, token, soon()));
    answering.get();
    loop_.run(http.close());
    ASSERT_FALSE(asked);
    EXPECT_EQ(asked.error().code, errc::protocol);
    EXPECT_THAT(asked.error().message, HasSubstr("LANE_PORT"));
}

TEST(lane_endpoint, is_written_as_it_was_read) {
    for (const auto* text :
         {"tcp://controller.example:7070", "tls://[::1]:1", "tls://a:65535", "unix:/run/lane"}) {
        EXPECT_EQ(to_text(worker::parse_lane_endpoint(text).value()), text);
    }
}

TEST(lane_endpoint, takes_the_three_forms_and_says_what_is_wrong_with_others) {
    using worker::parse_lane_endpoint;
    const auto tcp = parse_lane_endpoint("tcp://controller.example:7070");
    ASSERT_TRUE(tcp);
    EXPECT_EQ(tcp->host, "controller.example");
    EXPECT_EQ(tcp->port, 7070);
    EXPECT_FALSE(tcp->tls);
    EXPECT_TRUE(parse_lane_endpoint("tls://[::1]:1")->tls);
    EXPECT_EQ(parse_lane_endpoint("tls://[::1]:1")->host, "::1");
    EXPECT_EQ(parse_lane_endpoint("unix:/run/lane")->host, "/run/lane");
    for (const auto* wrong :
         {"", "controller:7070", "tcp://controller", "tcp://:1", "tcp://a:0", "tcp://a:65536",
          "tcp://a:1/path", "tcp://::1:7070", "unix:lane", "http://a:1"}) {
        const auto parsed = parse_lane_endpoint(wrong);
        ASSERT_FALSE(parsed) << wrong;
        EXPECT_THAT(parsed.error().message, HasSubstr("tcp://host:port"));
    }
}

}  // namespace
}  // namespace hearth
