#include "net/memory_stream.h"

#include "base/check.h"
#include "coro/wait_list.h"

namespace hearth::net {

// Bytes on their way from one end to the other. Of two buffers one is being filled while the other
// is with the reader, so that a byte is copied once.
struct memory_stream::direction final : io_buffer::owner {
    std::string filling;
    std::string lent;
    bool ended = false;    // nothing more will be written; what was is still read
    bool dropped = false;  // nothing more will be read
    wait_list readable;
    wait_list writable;

    void tell() noexcept {
        readable.notify_all();
        writable.notify_all();
    }
    void give_back(std::uint16_t) noexcept override {
        lent.clear();
        if (lent.capacity() > 2 * unread_bytes_max) {
            lent.shrink_to_fit();
        }
    }
};

std::pair<std::unique_ptr<memory_stream>, std::unique_ptr<memory_stream>> memory_stream::make_pair(
    std::string_view peer) {
    auto there = std::make_shared<direction>();
    auto back = std::make_shared<direction>();
    return {std::unique_ptr<memory_stream>(new memory_stream(back, there, peer)),
            std::unique_ptr<memory_stream>(new memory_stream(there, back, peer))};
}

memory_stream::memory_stream(std::shared_ptr<direction> in, std::shared_ptr<direction> out,
                             std::string_view peer)
    : in_(std::move(in)), out_(std::move(out)), peer_(peer) {}

memory_stream::~memory_stream() = default;

task<result<io_buffer>> memory_stream::read(deadline until) {
    const gate::pass inside(busy_);
    direction& from = *in_;
    while (from.filling.empty() && !from.ended && !from.dropped) {
        if (auto woken = co_await from.readable.wait(until); !woken) {
            co_return propagate(woken);
        }
    }
    if (from.dropped) {
        co_return fail(errc::closed, "receive: the stream was closed");
    }
    if (from.filling.empty()) {
        co_return io_buffer();
    }
    HEARTH_CHECK(from.lent.empty(), "a read while the bytes of the one before are still held");
    std::swap(from.filling, from.lent);
    from.writable.notify_all();
    co_return io_buffer(from, 0, std::as_bytes(std::span(from.lent)));
}

task<result<>> memory_stream::write(write_parts parts, deadline until) {
    const gate::pass inside(busy_);
    direction& into = *out_;
    while (into.filling.size() >= unread_bytes_max && !into.ended && !into.dropped) {
        if (auto woken = co_await into.writable.wait(until); !woken) {
            co_return woken;
        }
    }
    if (into.ended || into.dropped) {
        co_return fail(errc::closed, "send: the stream was closed");
    }
    for (const std::string_view part : parts) {
        into.filling += part;
    }
    into.readable.notify_all();
    co_return result<>{};
}

task<result<>> memory_stream::shutdown_write(deadline) {
    out_->ended = true;
    out_->tell();
    co_return result<>{};
}

task<void> memory_stream::close() {
    in_->dropped = true;
    out_->ended = true;
    in_->tell();
    out_->tell();
    co_await busy_.all_left();
}

}  // namespace hearth::net
