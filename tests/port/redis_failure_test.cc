#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "base/concat.h"
#include "faas/record_codec.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/socket_stream.h"
#include "tests/port/redis_fixtures.h"
#include "tests/support/certificates.h"

// What holds for the Redis implementations beyond their ports: a server that is away, slow, new,
// or not to be trusted.

namespace hearth::test {
namespace {

using ::testing::HasSubstr;

faas::invocation_record outcome_of(std::string_view job_id) {
    faas::invocation_record record;
    record.job_id = job_id;
    record.status = record.end.status = faas::invocation_status::succeeded;
    record.end.result_json = "42";
    return record;
}

// Runs `work` in the background until it is destroyed.
class keeper {
public:
    keeper(test_ring& loop, task<void> work) : loop_(loop) { tasks_.spawn(std::move(work)); }
    ~keeper() {
        tasks_.request_stop();
        loop_.run(tasks_.join());
    }

private:
    test_ring& loop_;
    scope tasks_;
};

class redis_client : public ::testing::Test, public redis_fixture {
protected:
    result<redis::reply> call(redis::command asked, deadline until = soon()) {
        return loop().run(client().call(std::move(asked), until));
    }
};

class redis_bus : public ::testing::Test, public redis_bus_fixture {
protected:
    static constexpr seconds patience{60};  // of the caller
    static epoch_ms awaited_until(seconds wait = patience) {
        return wall_clock_ms() + milliseconds(wait).count();
    }
    void publish(const faas::invocation_record& record, epoch_ms awaited = awaited_until()) {
        const auto published = loop().run(port().publish(record, awaited, soon()));
        ASSERT_TRUE(published) << published.error().message;
    }
    std::int64_t time_to_live(std::string_view job_id) {
        const auto left =
            loop().run(client().call({"TTL", concat("hearth:outcome:", job_id)}, soon()));
        return left ? left->get().integer() : -1;
    }
};

TEST_F(redis_client, a_late_reply_is_not_taken_for_the_next_commands) {
    ASSERT_TRUE(call({"SET", "key", "first"}));
    server().freeze();
    const auto late = call({"GET", "key"}, after(milliseconds(20)));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, errc::deadline_exceeded);
    server().thaw();
    const auto next = call({"ECHO", "second"});
    ASSERT_TRUE(next);
    EXPECT_EQ(next->get().text(), "second");
}

TEST_F(redis_client, a_stopped_caller_takes_nothing_from_others) {
    ASSERT_TRUE(call({"PING"}));
    server().freeze();
    auto gone = loop().start(client().call({"ECHO", "gone"}, soon()));
    auto staying = loop().start(client().call({"ECHO", "staying"}, soon()));
    loop().run_until([&] { return client().counts().commands >= 3; });
    gone.stop();
    EXPECT_EQ(gone.get().error().code, errc::cancelled);
    server().thaw();
    const auto answer = staying.get();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->get().text(), "staying");
}

TEST_F(redis_client, commands_of_one_turn_share_their_sends) {
    ASSERT_TRUE(call({"PING"}));
    const auto before = loop().ring().statistics().submissions;
    std::vector<test_loop::pending<result<redis::reply>>> calls;
    for (int i = 0; i < 500; ++i) {
        calls.push_back(loop().start(client().call({"INCR", "counter"}, soon())));
    }
    for (int i = 0; i < 500; ++i) {
        const auto answer = calls[static_cast<std::size_t>(i)].get();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->get().integer(), i + 1);
    }
    EXPECT_LT(loop().ring().statistics().submissions - before, 50U);
}

TEST_F(redis_client, comes_back_to_a_server_that_was_killed_and_restarted) {
    ASSERT_TRUE(call({"PING"}));
    server().kill();
    loop().run_until([this] { return !client().connected(); });
    const auto away = call({"PING"});
    ASSERT_FALSE(away);
    EXPECT_EQ(away.error().code, errc::unavailable);
    server().start();
    loop().run_until([this] { return client().connected(); });
    EXPECT_TRUE(call({"PING"}));
    EXPECT_EQ(client().counts().connected, 2U);
    EXPECT_EQ(client().counts().lost, 1U);
}

TEST_F(redis_client, calls_in_flight_end_with_the_connection) {
    ASSERT_TRUE(call({"PING"}));
    server().freeze();
    auto waiting = loop().start(client().call({"PING"}, soon()));
    loop().run_until([this] { return client().counts().commands >= 2; });
    server().kill();
    EXPECT_EQ(waiting.get().error().code, errc::unavailable);
}

TEST_F(redis_client, a_server_that_stands_still_is_given_up) {
    auto settings = settings_for(server());
    settings.ping_every = settings.ping_timeout = milliseconds(20);
    redis::client watchful(settings, lookups_);
    const keeper keeping(loop(), watchful.run());
    loop().run_until([&] { return watchful.connected(); });
    server().freeze();
    loop().run_until([&] { return !watchful.connected(); });
    server().thaw();
    loop().run_until([&] { return watchful.connected(); });
    EXPECT_GE(watchful.counts().lost, 1U);  // a slow machine may lose it again
    EXPECT_GE(watchful.counts().connected, 2U);
}

task<result<>> sleep_for(milliseconds time) {
    co_return co_await sleep_until(after(time));
}

// Answers its first command, then nothing until it is told, then slowly.
task<void> answer_slowly(net::listener& incoming, const event& wanted, const bool& over) {
    auto peer = co_await incoming.accept(soon());
    EXPECT_TRUE(co_await (*peer)->read(soon()));
    EXPECT_TRUE(co_await (*peer)->write("+OK\r\n", soon()));
    while (!over) {
        if (wanted.is_set()) {
            EXPECT_TRUE(co_await (*peer)->write("+OK\r\n", soon()));
        }
        EXPECT_TRUE(co_await sleep_until(after(milliseconds(1))));
    }
    co_await (*peer)->close();
}

TEST(redis_keep_alive, a_server_that_is_busy_with_a_full_line_of_commands_is_not_given_up) {
    constexpr milliseconds patience{200};
    test_ring loop;
    thread_pool lookups(1, 4);
    const temporary_directory folder;
    const auto path = folder.file("busy.sock");
    net::listener incoming(net::open_listening_socket(path).value());
    event wanted;
    bool over = false;
    auto serving = loop.start(answer_slowly(incoming, wanted, over));
    redis::client client(
        {.where = {.host = path}, .ping_every = milliseconds(1), .ping_timeout = patience},
        lookups);
    {
        const keeper keeping(loop, client.run());
        loop.run_until([&] { return client.connected(); });
        std::vector<test_loop::pending<result<redis::reply>>> calls;
        for (std::size_t i = 0; i < redis::connection::in_flight_max; ++i) {
            calls.push_back(loop.start(client.call({"PING"}, soon())));
        }
        EXPECT_TRUE(
            loop.run(sleep_for(milliseconds(20))));  // it has been asked by now, and refused
        wanted.set();
        EXPECT_TRUE(loop.run(sleep_for(3 * patience)));
        EXPECT_EQ(client.counts().lost, 0U);
    }
    over = true;
    serving.get();
    loop.run(incoming.close());
}

TEST_F(redis_client, errors_of_the_server_say_what_kind_they_are) {
    ASSERT_TRUE(call({"SET", "text", "a"}));
    EXPECT_EQ(call({"INCR", "text"}).error().code, errc::invalid_argument);
    EXPECT_EQ(call({"EVALSHA", std::string(40, '0'), "0"}).error().code, errc::not_found);
    ASSERT_TRUE(call({"CONFIG", "SET", "maxmemory", "1"}));
    const auto full = call({"SET", "more", "a"});
    EXPECT_EQ(full.error().code, errc::unavailable);
    EXPECT_THAT(full.error().message, HasSubstr("OOM"));
}

TEST(redis_connection, more_commands_in_flight_than_the_limit_are_refused) {
    test_ring loop;
    const redis_server server;
    auto link = loop.run(net::connect_stream(server.socket(), soon()));
    redis::connection connection(std::move(*link));
    auto serving = loop.start(connection.serve());
    server.freeze();
    std::vector<test_loop::pending<result<redis::reply>>> calls;
    for (std::size_t i = 0; i < redis::connection::in_flight_max; ++i) {
        calls.push_back(loop.start(connection.call({"PING"}, soon())));
    }
    const auto refused = loop.run(connection.call({"PING"}, soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::limit_exceeded);
    server.thaw();
    for (auto& each : calls) {
        EXPECT_TRUE(each.get());
    }
    connection.close();
    EXPECT_EQ(serving.get().code, errc::cancelled);
}

// Why a connection ends to a server that says only this.
error end_of_connection_to(std::string_view said) {
    test_ring loop;
    return loop.run([](std::string_view words) -> task<error> {
        net::listener incoming(net::open_listening_socket("127.0.0.1:0").value());
        auto link = co_await net::connect_stream(concat("127.0.0.1:", incoming.port()), soon());
        auto peer = co_await incoming.accept(soon());
        redis::connection connection(std::move(*link));
        EXPECT_TRUE(co_await (*peer)->write(words, soon()));
        auto why = co_await connection.serve();
        co_await (*peer)->close();
        co_await incoming.close();
        co_return why;
    }(said));
}

TEST(redis_connection, what_is_not_the_protocol_ends_it) {
    EXPECT_EQ(end_of_connection_to("HTTP/1.1 200 OK\r\n\r\n").code, errc::protocol);
}

TEST(redis_connection, an_answer_that_nobody_asked_for_ends_it) {
    EXPECT_EQ(end_of_connection_to("+OK\r\n").code, errc::protocol);
}

TEST(redis_login, a_wrong_password_is_refused_and_a_right_one_is_not) {
    test_ring loop;
    thread_pool lookups(1, 16);
    const redis_server server({"--requirepass", "open sesame"});
    auto settings = settings_for(server);
    settings.where.password = "guess";
    redis::client stranger(settings, lookups);
    settings.where.password = "open sesame";
    settings.where.database = 3;
    redis::client guest(settings, lookups);
    const keeper keeping_stranger(loop, stranger.run());
    const keeper keeping_guest(loop, guest.run());
    EXPECT_TRUE(loop.run(guest.call({"SET", "key", "value"}, soon())));
    const auto keyspace = loop.run(guest.call({"INFO", "keyspace"}, soon()));
    EXPECT_THAT(keyspace->get().text(), HasSubstr("db3:keys=1"));
    EXPECT_EQ(loop.run(stranger.call({"PING"}, soon())).error().code, errc::unavailable);
    EXPECT_FALSE(stranger.connected());
}

TEST(redis_login, tls_verifies_the_server) {
    test_ring loop;
    thread_pool lookups(1, 16);
    const temporary_folder folder;
    const auto certificate = folder / "certificate.pem";
    const auto key = folder / "key.pem";
    write_self_signed(certificate, key, "localhost");
    const auto port = [] {
        const unique_fd probe = net::open_listening_socket("127.0.0.1:0").value();
        return net::local_port(probe.get());
    }();
    const redis_server server({"--tls-port", concat(port), "--tls-cert-file", certificate,
                               "--tls-key-file", key, "--tls-auth-clients", "no"});
    auto settings = settings_for(server);
    settings.where = redis::parse_endpoint(concat("rediss://localhost:", port)).value();
    settings.tls = net::tls_context::for_client(certificate).value();
    redis::client trusting(settings, lookups);
    settings.tls = net::tls_context::for_client("").value();
    redis::client distrusting(settings, lookups);
    const keeper keeping_trusting(loop, trusting.run());
    const keeper keeping_distrusting(loop, distrusting.run());
    const std::string large(1u << 20, 'x');
    const auto echo = loop.run(trusting.call({"ECHO", large}, soon()));
    ASSERT_TRUE(echo);
    EXPECT_EQ(echo->get().text(), large);
    EXPECT_EQ(loop.run(distrusting.call({"PING"}, soon())).error().code, errc::unavailable);
}

TEST_F(redis_bus, a_waiter_that_comes_late_finds_the_outcome) {
    publish(outcome_of("job-1"));
    const auto got = loop().run(port().wait("job-1", soon()));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->end.result_json, "42");
}

TEST_F(redis_bus, an_outcome_is_kept_no_longer_than_its_caller_waits) {
    publish(outcome_of("job-1"), awaited_until(seconds(30)));
    const auto left = time_to_live("job-1");
    EXPECT_GT(left, 25);
    EXPECT_LE(left, 36);
}

TEST_F(redis_bus, an_outcome_is_kept_no_longer_than_a_waiter_can_be_away) {
    publish(outcome_of("job-1"), awaited_until(seconds(3'600)));
    const auto left = time_to_live("job-1");
    EXPECT_GT(left, 100);
    EXPECT_LE(left, 120);
}

TEST_F(redis_bus, what_nobody_awaits_takes_no_room_in_redis) {
    publish(outcome_of("job-1"), 0);
    EXPECT_EQ(loop().run(client().call({"DBSIZE"}, soon()))->get().integer(), 0);
}

TEST_F(redis_bus, a_large_outcome_is_a_marker_that_sends_its_waiter_to_the_log) {
    auto large = outcome_of("job-1");
    large.end.result_json =
        "\"" + std::string(redis::result_bus_settings{}.outcome_bytes_max, 'x') + "\"";
    auto waiting = loop().start(port().wait("job-1", soon()));
    settle();
    publish(large);
    EXPECT_EQ(waiting.get().error().code, errc::too_large);
    EXPECT_EQ(loop().run(port().wait("job-1", soon())).error().code, errc::too_large);
    const auto kept = loop().run(client().call({"STRLEN", "hearth:outcome:job-1"}, soon()));
    EXPECT_LE(kept->get().integer(), 16);
}

TEST_F(redis_bus, an_outcome_of_the_largest_size_is_carried_whole) {
    auto large = outcome_of("job-1");
    const auto limit = redis::result_bus_settings{}.outcome_bytes_max;
    large.end.result_json = std::string(limit - faas::encode(large).size() - 8, '1');
    ASSERT_LE(faas::encode(large).size(), limit);
    publish(large);
    const auto got = loop().run(port().wait("job-1", soon()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->end.result_json, large.end.result_json);
}

TEST_F(redis_bus, a_waiter_that_was_cut_off_finds_what_it_missed) {
    auto waiting = loop().start(port().wait("job-1", soon()));
    settle();
    // The key alone: the announcement went to nobody.
    ASSERT_TRUE(loop().run(client().call({"CLIENT", "KILL", "TYPE", "pubsub"}, soon())));
    publish(outcome_of("job-1"));
    EXPECT_TRUE(waiting.get());
}

TEST_F(redis_bus, waiting_without_a_server_fails_so_that_the_caller_can_look_elsewhere) {
    auto waiting = loop().start(port().wait("job-1", soon()));
    settle();
    server().kill();
    EXPECT_EQ(waiting.get().error().code, errc::unavailable);
    EXPECT_EQ(loop().run(port().publish(outcome_of("job-1"), awaited_until(), soon())).error().code,
              errc::unavailable);
}

TEST_F(redis_bus, waiters_that_are_gone_leave_no_subscription) {
    {
        std::vector<test_loop::pending<result<faas::invocation_record>>> waiters;
        for (int i = 0; i < 50; ++i) {
            waiters.push_back(loop().start(port().wait(concat("job-", i % 10), soon())));
        }
        settle();
        EXPECT_EQ(port().waiting(), 50U);
    }
    EXPECT_EQ(port().waiting(), 0U);
    // The subscriber's connection is another than the one that asks, so the order is open.
    loop().run_until([this] {
        const auto left = loop().run(client().call({"PUBSUB", "CHANNELS"}, soon()));
        return left && left->get().size() == 0;
    });
}

TEST_F(redis_bus, a_damaged_outcome_is_an_error_not_a_result) {
    ASSERT_TRUE(loop().run(client().call({"SET", "hearth:outcome:job-1", "{}\n"}, soon())));
    EXPECT_EQ(loop().run(port().wait("job-1", soon())).error().code, errc::corrupt);
}

}  // namespace
}  // namespace hearth::test
