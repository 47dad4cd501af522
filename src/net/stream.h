#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "uring/io_buffer.h"

namespace hearth::net {

using uring::io_buffer;

// The parts of one gathered write, in order.
using write_parts = std::span<const std::string_view>;

// A byte stream with a peer: TCP, Unix or TLS over either. One reader and one writer at a time; the
// two may be different coroutines. Belongs to one event-loop thread. close() must have been awaited
// before it is destroyed.
class stream {
public:
    stream() = default;
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;
    virtual ~stream() = default;

    // The next bytes, at least one; an empty buffer at the peer's end of stream.
    virtual task<result<io_buffer>> read(deadline until) = 0;
    // Writes all of it. After an error an unknown part was sent and the stream is only fit to
    // close.
    virtual task<result<>> write(write_parts parts, deadline until) = 0;
    // Tells the peer that nothing more will come; reading goes on.
    virtual task<result<>> shutdown_write(deadline until) = 0;
    // Ends pending reads and writes with errc::closed, waits until they have returned, and frees
    // the descriptor. More calls do nothing.
    virtual task<void> close() = 0;

    // "203.0.113.7:4711" for people and logs; "unix" for a local socket.
    [[nodiscard]] virtual const std::string& peer() const noexcept = 0;

    // Whose it is, as far as can be told without a word of its own, for limits per peer; of a
    // socket as net::origin_of() has it.
    [[nodiscard]] virtual std::string origin() const { return peer(); }

    task<result<>> write(std::string_view text, deadline until) {
        co_return co_await write(write_parts(&text, 1), until);
    }
};

}  // namespace hearth::net
