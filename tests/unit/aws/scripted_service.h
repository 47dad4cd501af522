#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/concat.h"
#include "coro/event.h"
#include "coro/scope.h"
#include "http/server.h"
#include "net/listener.h"
#include "tests/support/http_fixture.h"
#include "tests/support/test_ring.h"

namespace hearth::test {

// What a service was asked.
struct asked_request {
    std::string path;
    std::string body;
    std::function<std::string(std::string_view)> header;  // empty when absent
    std::function<std::string(std::string_view)> query;
};

// A real HTTP server on the test's own ring, that answers as the test says. For what no stand-in
// does: refusals, outages, wrong clocks, tokens that are enforced.
class scripted_service {
public:
    using answer = std::function<http::response(const asked_request&)>;

    explicit scripted_service(test_ring& loop) : loop_(loop) { start(); }
    scripted_service(const scripted_service&) = delete;
    scripted_service& operator=(const scripted_service&) = delete;
    ~scripted_service() { stop(); }

    // Before anything is asked at that path.
    void on(http::method of, std::string_view path, answer what) {
        routes_.add(of, path, [this, what = std::move(what)](http::request& asked) {
            return respond(what, asked);
        });
    }
    // Answers only after `until`, which outlives this.
    void hold(http::method of, std::string_view path, event& until) {
        routes_.add(of, path, [&until](http::request&) { return respond_after(until); });
    }
    [[nodiscard]] std::string url(std::string_view path = "") const {
        return concat("http://127.0.0.1:", port_, path);
    }
    [[nodiscard]] int count() const noexcept { return count_; }

    // Nobody listens at the port any more, until start().
    void stop() {
        if (web_) {
            loop_.run(web_->drain(after(seconds(0))));
            loop_.run(tasks_->join());
            web_.reset();
            tasks_.reset();
            listening_.reset();
        }
    }
    void start() {
        auto fd = net::open_listening_socket(concat("127.0.0.1:", port_));
        HEARTH_CHECK(fd.has_value(), "no port on the loopback is free");
        listening_.emplace(std::move(*fd));
        port_ = listening_->port();
        web_.emplace(routes_, options_);
        tasks_.emplace();
        tasks_->spawn(web_->run(*listening_));
    }

private:
    static task<http::response> respond_after(event& until) {
        [[maybe_unused]] const auto woken = co_await until.wait();
        co_return http::response::text(200, "");
    }
    task<http::response> respond(const answer& what, http::request& asked) {
        ++count_;
        std::string body;
        if (asked.has_body()) {
            body = (co_await asked.body().read_all(16u << 20)).value_or("");
        }
        const asked_request seen{
            .path = std::string(asked.path()),
            .body = std::move(body),
            .header =
                [&asked](std::string_view name) {
                    return std::string(asked.header(name).value_or(""));
                },
            .query =
                [&asked](std::string_view name) {
                    return asked.query_parameter(name).value_or("");
                },
        };
        co_return what(seen);
    }

    test_ring& loop_;
    http::router routes_;
    http::server_options options_;
    std::uint16_t port_ = 0;
    int count_ = 0;
    std::optional<net::listener> listening_;
    std::optional<http::server> web_;
    std::optional<scope> tasks_;
};

}  // namespace hearth::test

// What the tests of these services say in one word.
namespace hearth::aws {

using http::method;
using http::response;
using test::asked_request;
using test::soon;

}  // namespace hearth::aws
