#include "worker/heartbeat.h"

#include <gtest/gtest.h>

#include "base/concat.h"
#include "base/json.h"
#include "ctrl/worker_api.h"
#include "http/server.h"
#include "net/listener.h"
#include "tests/support/test_ring.h"

// A worker's heartbeats at a controller's API, over real sockets.

namespace hearth {
namespace {

using test::soon;

// The controller's part, on a port that can be opened again.
class controller {
public:
    explicit controller(test::test_ring& loop)
        : loop_(loop),
          api_({.home = loop.ring(),
                .workers = workers,
                .retired = retired,
                .worker_token = token_,
                .operator_key = key_,
                .failures = failures_}) {
        api_.add_routes(routes_);
        open("127.0.0.1:0");
    }
    ~controller() { close(); }

    void open(const std::string& address) {
        listening_ = std::make_unique<net::listener>(net::open_listening_socket(address).value());
        address_ = concat("127.0.0.1:", listening_->port());
        server_ = std::make_unique<http::server>(routes_, http::server_options{});
        serving_ = std::make_unique<scope>();
        serving_->spawn(server_->run(*listening_));
    }
    void open_again() { open(address_); }
    void close() {
        if (serving_) {
            loop_.run(server_->drain(soon()));
            loop_.run(serving_->join());
            serving_.reset();
            server_.reset();
            listening_.reset();
        }
    }
    [[nodiscard]] std::string url() const { return concat("http://", address_); }

    ctrl::worker_registry workers{milliseconds(150)};
    ctrl::retirements retired{seconds(60)};

private:
    test::test_ring& loop_;
    ctrl::api_key token_{"worker token"};
    ctrl::api_key key_{"operator key"};
    ctrl::failed_attempts failures_{true};
    ctrl::worker_api api_;
    http::router routes_;
    std::string address_;
    std::unique_ptr<net::listener> listening_;
    std::unique_ptr<http::server> server_;
    std::unique_ptr<scope> serving_;
};

class heartbeats : public ::testing::Test {
protected:
    heartbeats() { running_->spawn(web_->run()); }
    ~heartbeats() override {
        running_->request_stop();
        loop_.run(running_->join());
        web_.reset();
        controller_.close();
    }

    worker::heartbeat make(std::string token, milliseconds interval = milliseconds(5)) {
        return {
            *web_,
            {.controller_url = controller_.url(), .token = std::move(token), .interval = interval},
            [this] { return report_; },
            [this](std::string_view id, std::int64_t revision) {
                retired_.emplace_back(id, revision);
            }};
    }
    result<http::client_response> get_workers(std::string_view key) {
        return loop_.run(web_->send({.url = concat(controller_.url(), "/api/workers"),
                                     .headers = {{"x-api-key", std::string(key)}}},
                                    soon()));
    }

    test::test_ring loop_;
    controller controller_{loop_};
    std::unique_ptr<http::client> web_ = http::client::create({}).value();
    std::optional<scope> running_{std::in_place};
    std::vector<std::pair<std::string, std::int64_t>> retired_;
    faas::worker_report report_{.id = "worker-1", .host = "here", .sandboxes_max = 7};
};

TEST_F(heartbeats, make_a_worker_known_and_its_leave_makes_it_unknown) {
    auto beats = make("worker token");
    ASSERT_TRUE(loop_.run(beats.beat(soon())));
    const auto shown = get_workers("operator key");
    ASSERT_TRUE(shown);
    EXPECT_EQ(shown->status, 200);
    EXPECT_NE(shown->body.find(R"("id":"worker-1","host":"here","version":"","status":"LIVE",)"
                               R"("sandboxesMax":7)"),
              std::string::npos)
        << shown->body;
    ASSERT_TRUE(loop_.run(beats.leave(soon())));
    EXPECT_EQ(get_workers("operator key")->body, R"({"workers":[]})");
}

TEST_F(heartbeats, with_another_token_are_refused_with_the_remedy) {
    auto beats = make("guess");
    const auto refused = loop_.run(beats.beat(soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::permission_denied);
    EXPECT_NE(refused.error().message.find("WORKER_TOKEN"), std::string::npos);
    EXPECT_EQ(controller_.workers.list(steady_clock::now()).size(), 0U);
    EXPECT_EQ(get_workers("worker token")->status, 401);
}

TEST_F(heartbeats, with_another_token_are_refused_whatever_they_show_when_they_are_too_many) {
    auto guessing = make("a guess");
    for (int i = 0; i < ctrl::failed_attempts::failures_max; ++i) {
        EXPECT_EQ(loop_.run(guessing.beat(soon())).error().code, errc::permission_denied);
    }
    auto guessed = make("worker token");
    const auto refused = loop_.run(guessed.beat(soon()));
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().message.contains("429")) << refused.error().message;
    const auto listed = get_workers("operator key");
    ASSERT_TRUE(listed);
    EXPECT_EQ(listed->status, 429);
    EXPECT_TRUE(listed->header("retry-after"));
}

TEST_F(heartbeats, go_on_until_stopped_and_survive_a_controller_that_is_away) {
    auto beats = make("worker token");
    auto going = loop_.start(beats.run());
    loop_.run_until([&] { return beats.counts().sent >= 3; });
    EXPECT_TRUE(beats.reached());
    controller_.close();
    loop_.run_until([&] { return beats.counts().failed >= 2; });
    EXPECT_FALSE(beats.reached());
    const auto before = beats.counts().sent;
    controller_.open_again();
    loop_.run_until([&] { return beats.counts().sent > before; });
    EXPECT_TRUE(beats.reached());
    going.stop();
    going.get();
}

TEST_F(heartbeats, refill_a_controller_that_forgot) {
    auto beats = make("worker token");
    auto going = loop_.start(beats.run());
    loop_.run_until([&] { return beats.counts().sent >= 1; });
    controller_.workers = ctrl::worker_registry(milliseconds(150));
    loop_.run_until([&] { return !controller_.workers.list(steady_clock::now()).empty(); });
    EXPECT_EQ(controller_.workers.list(steady_clock::now()).front().report.id, "worker-1");
    going.stop();
    going.get();
}

TEST_F(heartbeats, bring_back_which_functions_have_changed) {
    auto beats = make("worker token");
    ASSERT_TRUE(loop_.run(beats.beat(soon())));
    EXPECT_TRUE(retired_.empty());
    controller_.retired.add("function-1", 3, steady_clock::now());
    controller_.retired.add("function-2", 0, steady_clock::now());
    ASSERT_TRUE(loop_.run(beats.beat(soon())));
    const std::vector<std::pair<std::string, std::int64_t>> expected{{"function-1", 3},
                                                                     {"function-2", 0}};
    EXPECT_EQ(retired_, expected);
}

TEST_F(heartbeats, come_as_often_as_the_controller_says) {
    auto beats = make("worker token", milliseconds(3'600'000));
    auto going = loop_.start(beats.run());
    // The first answer shortens the hour.
    loop_.run_until([&] { return beats.counts().sent >= 2; });
    going.stop();
    going.get();
    EXPECT_EQ(beats.counts().failed, 0u);
}

TEST_F(heartbeats, that_make_no_sense_are_refused) {
    for (const auto* body : {"", "{}", "[1,2]", R"({"id":"../x"})"}) {
        const auto got =
            loop_.run(web_->send({.method = "POST",
                                  .url = concat(controller_.url(), "/api/worker/heartbeat"),
                                  .headers = {{"authorization", "Bearer worker token"}},
                                  .body = body},
                                 soon()));
        ASSERT_TRUE(got);
        EXPECT_EQ(got->status, 400) << body;
    }
}

}  // namespace
}  // namespace hearth
