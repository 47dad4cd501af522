#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "coro/gate.h"
#include "net/stream.h"

namespace hearth::net {

// One end of a stream whose peer is another coroutine of the same thread: what a pair of sockets
// would be, without the kernel. An end of a pair on the same ring costs no system call, and a
// reader goes on in the turn of the loop in which somebody wrote.
class memory_stream final : public stream {
public:
    // Written and not yet read, beyond which writers wait. One write may go over it.
    static constexpr std::size_t unread_bytes_max = 256u << 10;

    // Both ends; `peer` is what either says of the other.
    [[nodiscard]] static std::pair<std::unique_ptr<memory_stream>, std::unique_ptr<memory_stream>>
    make_pair(std::string_view peer);
    ~memory_stream() override;

    // What it returns goes before the next read().
    task<result<io_buffer>> read(deadline until) override;
    using stream::write;
    task<result<>> write(write_parts parts, deadline until) override;
    task<result<>> shutdown_write(deadline until) override;
    task<void> close() override;
    [[nodiscard]] const std::string& peer() const noexcept override { return peer_; }

private:
    struct direction;

    memory_stream(std::shared_ptr<direction> in, std::shared_ptr<direction> out,
                  std::string_view peer);

    std::shared_ptr<direction> in_;
    std::shared_ptr<direction> out_;
    gate busy_;  // coroutines inside read() and write()
    std::string peer_;
};

}  // namespace hearth::net
