#include "http/connection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/ids.h"
#include "http/error_response.h"
#include "http/exchange_stop.h"
#include "http/server.h"

namespace hearth::http {
namespace {

constexpr int status_client_gone = 499;  // nginx's number, for logs and metrics only

void append_number(std::string& out, std::uint64_t value) {
    char digits[20];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

// RFC 9110 §8.6: these never have a body, and no Content-Length.
bool is_bodiless(int status) {
    return status < 200 || status == 204 || status == 304;
}

}  // namespace

connection::connection(server& home, std::unique_ptr<net::stream> peer, stop_source* parent)
    : home_(home),
      peer_(std::move(peer)),
      input_(*peer_),
      parser_(home.options().head),
      body_(*peer_, input_, home.options().body, home.options().pace),
      waiting_stop_(parent) {}

void connection::stop_waiting(bool fresh_too) noexcept {
    if (waiting_ && (fresh_too || !fresh_)) {
        waiting_stop_.request_stop();
    }
}

task<void> connection::run() {
    next_step step = next_step::go_on;
    while (step == next_step::go_on) {
        step = co_await serve_one();
    }
    if (step == next_step::linger) {
        co_await linger();
    }
    co_await peer_->close();
}

task<connection::next_step> connection::serve_one() {
    parser_.reset();
    has_head_ = false;
    match_ = {};
    switch (co_await read_head()) {
        case head_outcome::over:
            co_return next_step::close;
        case head_outcome::rejected:
            co_return co_await reject(parser_.error());
        case head_outcome::complete:
            break;
    }
    has_head_ = true;
    take_request_id();
    co_return co_await answer();
}

task<connection::head_outcome> connection::read_head() {
    deadline head_end = never;
    for (;;) {
        if (!input_.empty()) {
            if (head_end == never) {
                began_ = steady_clock::now();
                head_end = began_ + home_.options().head_timeout;
            }
            std::span<const std::byte> rest = input_.bytes();
            const auto status = parser_.feed(rest);
            input_.keep_rest(rest);
            if (status != head_parser::status::incomplete) {
                input_.release();
                co_return status == head_parser::status::complete ? head_outcome::complete
                                                                  : head_outcome::rejected;
            }
        }
        auto more =
            head_end == never ? co_await wait_for_first_byte() : co_await input_.fill(head_end);
        if (!more && more.error().code == errc::deadline_exceeded && head_end != never) {
            parser_.fail({408, "request_timeout", "The request's head came too slowly."});
            co_return head_outcome::rejected;
        }
        if (!more || !*more) {
            co_return head_outcome::over;
        }
    }
}

// The wait that a drain ends, after a last call: a client that is just sending its next request
// over a kept connection gets its answer, and with it the word that the connection closes.
task<result<bool>> connection::wait_for_first_byte() {
    const server_options& options = home_.options();
    const milliseconds patience = !home_.draining() ? options.idle_timeout
                                  : fresh_          ? options.first_request_grace
                                                    : options.drain_last_call;
    waiting_ = true;
    stop_source* const outer = co_await exchange_stop(&waiting_stop_);
    auto more = co_await input_.fill(after(patience));
    co_await exchange_stop(outer);
    waiting_ = false;
    if (!more && more.error().code == errc::cancelled) {
        more = co_await input_.fill(after(options.drain_last_call));
    }
    fresh_ = false;
    co_return more;
}

void connection::take_request_id() {
    const auto sent = parser_.head().header("x-request-id");
    if (sent && is_well_formed_id(*sent)) {
        request_id_ = *sent;
    } else {
        request_id_ = make_uuid();
    }
}

task<connection::next_step> connection::reject(rejection why) {
    if (!has_head_) {
        request_id_ = make_uuid();
    }
    const response refusal = error_response(why, request_id_);
    const bool sent = co_await send(refusal, false);
    report(sent ? why.status : status_client_gone, refusal.body_size());
    co_return sent ? next_step::linger : next_step::close;
}

task<connection::next_step> connection::answer() {
    const request_head& head = parser_.head();
    match_ = home_.routes().find(head.method, head.path);
    if (!body_.begin(head)) {
        co_return co_await reject(body_.refused());
    }
    const response made = co_await dispatch();
    if (body_.refused()) {
        co_return co_await reject(body_.refused());
    }
    if (body_.client_gone()) {
        report(status_client_gone, 0);
        co_return next_step::close;
    }
    const bool keep = may_keep(made);
    const bool sent = co_await send(made, keep);
    report(sent ? made.status() : status_client_gone, made.body_size());
    co_return sent ? co_await finish_body(keep) : next_step::close;
}

task<response> connection::dispatch() {
    switch (match_.what) {
        case router::outcome::not_found:
            co_return error_response(404, "not_found", "There is nothing at this path.",
                                     request_id_);
        case router::outcome::method_not_allowed: {
            response refusal = error_response(405, "method_not_allowed",
                                              "The path does not take this method.", request_id_);
            refusal.add_header("Allow", match_.allow);
            co_return refusal;
        }
        case router::outcome::options: {
            response allowed(204);
            allowed.add_header("Allow", match_.allow);
            co_return allowed;
        }
        case router::outcome::found:
            break;
    }
    request asked(parser_.head(), body_, request_id_, peer_->peer(), match_.parameters,
                  match_.route);
    co_return co_await (*match_.handle)(asked);
}

// Whether the connection can serve another request. A body that was not read must be short enough
// to drop; one that still waits for "100 Continue" may come or not, so nothing after it is certain.
bool connection::may_keep(const response& answer) const noexcept {
    if (!parser_.head().keep_alive || answer.closes_connection()) {
        return false;
    }
    if (home_.draining()) {
        return body_.complete() && !input_.empty();  // another request is here already
    }
    if (body_.complete()) {
        return true;
    }
    return !body_.continue_owed() &&
           body_.announced_size() - std::min(body_.announced_size(), body_.received()) <=
               home_.options().discard_bytes_max;
}

task<connection::next_step> connection::finish_body(bool keep) {
    if (body_.complete()) {
        input_.release();
        // Unread bytes would turn the close into a reset, which can overtake the response.
        co_return keep ? next_step::go_on : input_.empty() ? next_step::close : next_step::linger;
    }
    const bool dropped = keep && co_await body_.discard(home_.options().discard_bytes_max,
                                                        after(home_.options().discard_timeout));
    input_.release();
    co_return dropped ? next_step::go_on : next_step::linger;
}

void connection::write_head(const response& answer, bool keep) {
    out_.clear();
    out_ += "HTTP/1.1 ";
    append_number(out_, static_cast<std::uint64_t>(answer.status()));
    out_ += ' ';
    out_ += reason_phrase(answer.status());
    out_ += "\r\nDate: ";
    out_ += home_.date();
    out_ += "\r\nx-request-id: ";
    out_ += request_id_;
    if (!answer.content_type().empty()) {
        out_ += "\r\nContent-Type: ";
        out_ += answer.content_type();
    }
    if (!is_bodiless(answer.status())) {
        out_ += "\r\nContent-Length: ";
        append_number(out_, answer.body_size());
    }
    if (!keep) {
        out_ += "\r\nConnection: close";
    } else if (parser_.head().minor_version == 0) {
        out_ += "\r\nConnection: keep-alive";
    }
    out_ += "\r\n";
    out_ += answer.header_lines();
    out_ += "\r\n";
}

task<bool> connection::send(const response& answer, bool keep) {
    write_head(answer, keep);
    std::array<std::string_view, response::parts_max + 1> parts;
    std::size_t count = 0;
    parts[count++] = out_;
    std::uint64_t size = out_.size();
    const bool head_only = parser_.has_request_line() && parser_.head().method == method::head;
    if (!head_only && !is_bodiless(answer.status())) {
        for (std::size_t i = 0; i < answer.part_count(); ++i) {
            parts[count++] = answer.part(i);
        }
        size += answer.body_size();
    }
    const server_options& options = home_.options();
    const deadline until =
        after(options.write_timeout + seconds(size / options.write_bytes_per_second_min));
    const auto written = co_await peer_->write(net::write_parts(parts.data(), count), until);
    co_return written.has_value();
}

void connection::report(int status, std::uint64_t response_bytes) {
    exchange done;
    if (parser_.has_request_line()) {
        done.method = to_string(parser_.head().method);
    }
    if (has_head_) {
        done.path = parser_.head().path;
        done.request_bytes = body_.received();
    }
    done.route = match_.route;
    done.request_id = request_id_;
    done.client = peer_->peer();
    done.status = status;
    done.duration = steady_clock::now() - began_;
    done.response_bytes = response_bytes;
    home_.finished(done);
}

task<void> connection::linger() {
    const deadline until = after(home_.options().linger_timeout);
    if (!co_await peer_->shutdown_write(until)) {
        co_return;
    }
    std::uint64_t dropped = input_.bytes().size();
    input_.keep_rest({});
    while (dropped <= home_.options().linger_bytes_max) {
        auto more = co_await input_.fill(until);
        if (!more || !*more) {
            co_return;
        }
        dropped += input_.bytes().size();
        input_.keep_rest({});
    }
}

}  // namespace hearth::http
