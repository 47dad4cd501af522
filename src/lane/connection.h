#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "coro/event.h"
#include "coro/scope.h"
#include "lane/outbox.h"
#include "lane/parser.h"
#include "net/stream.h"

namespace hearth::lane {

struct connection_options {
    // Without a byte of the peer for so long it is lost: a host without power sends no end.
    milliseconds silence_max{15'000};
    // A peer that takes nothing in for so long is lost as well.
    milliseconds write_wait_max{20'000};
    log::level news = log::level::info;  // of lines about its beginning and end
};

// One end of a lane: bytes in through a parser, frames out through an outbox. What frames mean is
// the derived class's. Ring thread only.
class connection : private frame_sink {
public:
    connection(std::unique_ptr<net::stream> link, side ours, connection_options options);
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    // Moves bytes until the stream ends, the peer breaks the protocol or says goodbye, or end();
    // closes the stream and returns why.
    task<error> serve();
    // At once, whatever is unsent; the first reason stands.
    void end(error why);
    // Once everything that was said is sent: goodbye. The peer then closes, and serve() ends.
    void leave(goodbye_reason reason, std::string_view text);

    [[nodiscard]] outbox& out() noexcept { return out_; }
    [[nodiscard]] const std::string& peer() const noexcept { return stream_->peer(); }
    // Nothing more is to be said or heard: it has ended, or leaves.
    [[nodiscard]] bool over() const noexcept { return why_.has_value() || leaving_; }

protected:
    ~connection() = default;

    // Frames and pieces of bodies until it is over, as of a frame_sink.
    virtual result<> handle_frame(const frame_header& header, std::string_view payload) = 0;
    virtual result<> handle_data(std::uint64_t stream, std::string_view piece) = 0;
    // The peer takes nothing in any more; what it has said before may still come.
    virtual void on_mute() noexcept {}
    // Nothing more is to be said or heard. Once.
    virtual void on_over() noexcept = 0;
    [[nodiscard]] bool mute() const noexcept { return mute_ || over(); }
    void note(std::string_view news, std::initializer_list<log::field> fields) const;

private:
    result<> on_frame(const frame_header& header, std::string_view payload) final;
    result<> on_data(std::uint64_t stream, std::string_view piece) final;
    void tell_over();

    task<void> read_frames();
    task<void> write_frames();

    std::unique_ptr<net::stream> stream_;
    connection_options options_;
    parser parser_;
    outbox out_;
    scope* moving_ = nullptr;  // while serve() runs
    std::optional<error> why_;
    std::optional<error> left_because_;
    bool leaving_ = false;
    bool told_over_ = false;
    bool mute_ = false;
    deadline leave_until_ = never;
};

}  // namespace hearth::lane
