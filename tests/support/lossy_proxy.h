#pragma once

#include <charconv>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "base/check.h"
#include "base/concat.h"
#include "coro/scope.h"
#include "http/client.h"
#include "net/listener.h"
#include "net/socket_stream.h"
#include "tests/support/test_ring.h"

namespace hearth::test {

// Stands before a service on the loopback and passes every request on, each exactly once; what
// becomes of the answer is the test's to say. For what a network does to an answer after the
// service has acted.
class lossy_proxy {
public:
    enum class fate : std::uint8_t {
        passed,
        lost,   // the connection ends without a byte
        cut,    // it ends in the middle of the body
        reset,  // the same, by a reset
    };

    // `onward` is running; both outlive this.
    lossy_proxy(test_ring& loop, http::client& onward, std::string to)
        : loop_(loop), onward_(onward), to_(std::move(to)) {
        auto fd = net::open_listening_socket("127.0.0.1:0");
        HEARTH_CHECK(fd.has_value(), "no port on the loopback is free");
        listening_.emplace(std::move(*fd));
        tasks_.spawn(accept());
    }
    lossy_proxy(const lossy_proxy&) = delete;
    lossy_proxy& operator=(const lossy_proxy&) = delete;
    ~lossy_proxy() { end(); }

    // Of the answers that come, in order; passed when none is left.
    void next(std::initializer_list<fate> what) { fates_.insert(fates_.end(), what); }
    [[nodiscard]] std::string url() const {
        return concat("http://127.0.0.1:", listening_->port());
    }
    // Requests that the service has answered.
    [[nodiscard]] int requests() const noexcept { return requests_; }
    // Fixtures call it before `onward` ends.
    void end() {
        if (listening_) {
            tasks_.request_stop();
            loop_.run(listening_->close());
            loop_.run(tasks_.join());
            listening_.reset();
        }
    }

private:
    struct parsed {
        http::client_request request;
        bool whole = false;
    };

    task<void> accept() {
        for (;;) {
            auto connection = co_await listening_->accept(never);
            if (!connection) {
                co_return;
            }
            tasks_.spawn(serve(std::move(*connection)));
        }
    }

    task<void> serve(std::unique_ptr<net::stream> connection) {
        std::string bytes;
        parsed got;
        while (!got.whole) {
            auto more = co_await connection->read(never);
            if (!more || more->empty()) {
                break;
            }
            bytes += more->text();
            got = parse(bytes);
        }
        if (got.whole) {
            co_await answer(*connection, std::move(got.request));
        }
        co_await connection->close();
    }

    task<void> answer(net::stream& connection, http::client_request request) {
        auto got = co_await onward_.send(std::move(request), never);
        ++requests_;
        fate what = fate::passed;
        if (!fates_.empty()) {
            what = fates_.front();
            fates_.pop_front();
        }
        if (!got || what == fate::lost) {
            co_return;
        }
        std::string head = concat("HTTP/1.1 ", got->status, " Fine\r\nconnection: close\r\n");
        for (const auto& [name, value] : got->headers) {
            if (name != "content-length" && name != "connection" && name != "transfer-encoding" &&
                name != "keep-alive") {
                head += concat(name, ": ", value, "\r\n");
            }
        }
        // One byte more than comes where the answer has no body that could be cut.
        const bool whole = what == fate::passed;
        const auto announced = got->body.size() + (whole ? 0 : 1);
        std::string_view body = got->body;
        if (!whole) {
            body = body.substr(0, body.size() / 2);
        }
        const std::string text = concat(head, "content-length: ", announced, "\r\n\r\n", body);
        [[maybe_unused]] const auto sent = co_await connection.write(text, never);
        if (what == fate::reset) {
            const linger at_once{.l_onoff = 1, .l_linger = 0};
            ::setsockopt(dynamic_cast<net::socket_stream&>(connection).descriptor(), SOL_SOCKET,
                         SO_LINGER, &at_once, sizeof at_once);
        }
    }

    [[nodiscard]] parsed parse(std::string_view bytes) const {
        parsed out;
        const auto end = bytes.find("\r\n\r\n");
        if (end == std::string_view::npos) {
            return out;
        }
        std::string_view head = bytes.substr(0, end + 2);
        const auto line = take_line(head);
        const auto blank = line.find(' ');
        out.request.method = line.substr(0, blank);
        out.request.url = concat(to_, line.substr(blank + 1, line.rfind(' ') - blank - 1));
        out.request.answer_bytes_max = 64u << 20;
        std::size_t length = 0;
        while (!head.empty()) {
            const auto field = take_line(head);
            const auto colon = field.find(':');
            std::string name(field.substr(0, colon));
            std::ranges::transform(name, name.begin(), [](char c) { return c | 0x20; });
            const auto value = field.substr(colon + 2);
            if (name == "content-length") {
                std::from_chars(value.data(), value.data() + value.size(), length);
            } else if (name != "connection" && name != "expect") {
                out.request.headers.emplace_back(name, value);
            }
        }
        out.whole = bytes.size() - end - 4 >= length;
        if (out.whole) {
            out.request.body = bytes.substr(end + 4, length);
        }
        return out;
    }
    static std::string_view take_line(std::string_view& from) {
        const auto end = from.find("\r\n");
        const auto line = from.substr(0, end);
        from.remove_prefix(end + 2);
        return line;
    }

    test_ring& loop_;
    http::client& onward_;
    std::string to_;
    std::optional<net::listener> listening_;
    scope tasks_;
    std::deque<fate> fates_;
    int requests_ = 0;
};

}  // namespace hearth::test
