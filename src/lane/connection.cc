#include "lane/connection.h"

#include <algorithm>
#include <utility>

namespace hearth::lane {
namespace {

// For the peer to take a goodbye in and close.
constexpr seconds leave_wait_max{5};

side other(side ours) noexcept {
    return ours == side::worker ? side::controller : side::worker;
}

}  // namespace

connection::connection(std::unique_ptr<net::stream> link, side ours, connection_options options)
    : stream_(std::move(link)), options_(options), parser_(other(ours), *this) {}

task<error> connection::serve() {
    scope moving(co_await current_stop());
    moving.spawn(read_frames());
    moving.spawn(write_frames());
    moving_ = &moving;
    if (why_) {
        moving.request_stop();
    }
    co_await moving.join();
    moving_ = nullptr;
    co_await stream_->close();
    end({errc::cancelled, "it was stopped", 0});
    co_return *why_;
}

void connection::end(error why) {
    if (!why_) {
        why_ = std::move(why);
    }
    tell_over();
    if (moving_ != nullptr) {
        moving_->request_stop();
    }
}

void connection::note(std::string_view news, std::initializer_list<log::field> fields) const {
    if (log::enabled(options_.news)) {
        log::write(options_.news, news, fields);
    }
}

void connection::tell_over() {
    if (!std::exchange(told_over_, true)) {
        on_over();
    }
}

// What was read together with the frame that ended it is not looked at.
result<> connection::on_frame(const frame_header& header, std::string_view payload) {
    return over() ? result<>{} : handle_frame(header, payload);
}

result<> connection::on_data(std::uint64_t stream, std::string_view piece) {
    return over() ? result<>{} : handle_data(stream, piece);
}

void connection::leave(goodbye_reason reason, std::string_view text) {
    if (over()) {
        return;
    }
    out_.send(goodbye{.reason = reason, .text = text});
    leaving_ = true;
    left_because_ =
        error{reason == goodbye_reason::done ? errc::closed : errc::protocol, std::string(text), 0};
    leave_until_ = after(leave_wait_max);
    out_.finish();
    tell_over();
}

// What comes after our goodbye is dropped: to close with bytes unread would reset the connection,
// and the goodbye with it.
task<void> connection::read_frames() {
    for (;;) {
        auto some = co_await stream_->read(leaving_ ? leave_until_ : within(options_.silence_max));
        if (leaving_ && (!some || some->empty() || steady_clock::now() >= leave_until_)) {
            end(*left_because_);
            co_return;
        }
        if (!some && some.error().code == errc::deadline_exceeded) {
            end({errc::closed, "nothing was heard of the peer for too long", 0});
            co_return;
        }
        if (!some || some->empty()) {
            end(some ? error{errc::closed, "the peer closed it", 0} : std::move(some.error()));
            co_return;
        }
        if (leaving_) {
            continue;
        }
        auto parsed = parser_.feed(some->text());
        if (!parsed && parsed.error().code == errc::protocol && !leaving_) {
            leave(goodbye_reason::protocol_error, parsed.error().message);
        } else if (!parsed && !leaving_) {
            end(std::move(parsed.error()));
            co_return;
        }
    }
}

task<void> connection::write_frames() {
    auto sent = co_await out_.run(*stream_, options_.write_wait_max);
    if (sent) {
        sent = co_await stream_->shutdown_write(leave_until_);
    }
    if (sent) {
        co_return;
    }
    if (leaving_ || sent.error().code == errc::deadline_exceeded) {
        end(leaving_ ? *left_because_ : std::move(sent.error()));
        co_return;
    }
    // A peer that has died may have said before how far it had come. Reading finds the end.
    mute_ = true;
    on_mute();
}

}  // namespace hearth::lane
