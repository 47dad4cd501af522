#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "net/stream.h"

namespace hearth::http {

// The bytes of a connection that were received and not yet used. Holds at most one receive buffer,
// and none while the connection is idle, so that the ring's pool is not used up by quiet clients.
class input {
public:
    explicit input(net::stream& source) noexcept : source_(&source) {}

    [[nodiscard]] bool empty() const noexcept { return buffer_.empty(); }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return buffer_.bytes(); }
    // Drops what was used; `rest` is what is left of bytes(). The memory stays valid until fill()
    // or release().
    void keep_rest(std::span<const std::byte> rest) noexcept {
        buffer_.remove_prefix(buffer_.size() - rest.size());
    }
    void release() noexcept {
        if (buffer_.empty()) {
            buffer_ = net::io_buffer();
        }
    }

    // Receives more, when nothing is left. False at the end of the stream.
    task<result<bool>> fill(deadline until) {
        release();
        auto received = co_await source_->read(until);
        if (!received) {
            co_return propagate(received);
        }
        buffer_ = std::move(*received);
        co_return !buffer_.empty();
    }

private:
    net::stream* source_;
    net::io_buffer buffer_;
};

}  // namespace hearth::http
