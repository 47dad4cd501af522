#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "http/body_decoder.h"
#include "http/file_writer.h"
#include "http/head.h"
#include "http/input.h"
#include "http/rejection.h"

namespace hearth::http {

// A client that sends a body is cut off when, after `grace` of waiting for it, its average falls
// below `bytes_per_second_min`. Time in which nobody reads does not count.
struct body_pace {
    milliseconds grace{10'000};
    std::uint64_t bytes_per_second_min = 1024;
};

// The body of one request, read as a stream by its handler. When the client asked for it, "100
// Continue" is sent at the first read, so that a handler that refuses costs no upload. A failure is
// remembered: whatever the handler then answers, the server sends the rejection and closes. Ring
// thread of the connection only.
class body_reader {
public:
    body_reader(net::stream& peer, input& bytes, const body_limits& limits, const body_pace& pace)
        : peer_(peer), input_(bytes), decoder_(limits), pace_(pace) {}
    body_reader(const body_reader&) = delete;
    body_reader& operator=(const body_reader&) = delete;

    // The next bytes, at least one; empty at the end. Valid until the next call. Errors:
    // errc::too_large, errc::protocol (framing), errc::deadline_exceeded (`until`, or too slow),
    // errc::closed (the client is gone), errc::cancelled.
    task<result<std::span<const std::byte>>> read(deadline until = never);

    // All of it. errc::too_large beyond `bytes_max`, before anything is read when the length was
    // announced.
    task<result<std::string>> read_all(std::size_t bytes_max, deadline until = never);

    // Writes it to `descriptor` as file_writer does; returns its size. The same errors, and the
    // writer's.
    task<result<std::uint64_t>> copy_to_file(int descriptor, thread_pool& pool,
                                             std::uint64_t bytes_max,
                                             file_writer::block_hook on_block = {},
                                             deadline until = never);

    // The announced length, or 0 when it is chunked or there is none.
    [[nodiscard]] std::uint64_t announced_size() const noexcept { return announced_; }
    [[nodiscard]] bool complete() const noexcept { return decoder_.complete(); }
    [[nodiscard]] std::uint64_t received() const noexcept { return decoder_.received(); }

    // For the connection: starts with the body that `head` announces. False when it is refused.
    bool begin(const request_head& head) noexcept;
    // The client waits for a "100 Continue" that was never sent.
    [[nodiscard]] bool continue_owed() const noexcept { return continue_owed_; }
    [[nodiscard]] const rejection& refused() const noexcept { return refused_; }
    [[nodiscard]] bool client_gone() const noexcept { return client_gone_; }
    // Reads and drops the rest, at most `bytes_max` of it. False when it did not end.
    task<bool> discard(std::uint64_t bytes_max, deadline until);

private:
    task<result<>> receive(deadline until);
    std::unexpected<error> decoder_failed();

    net::stream& peer_;
    input& input_;
    body_decoder decoder_;
    body_pace pace_;
    rejection refused_;
    std::uint64_t announced_ = 0;
    nanoseconds waited_{0};
    bool continue_owed_ = false;
    bool client_gone_ = false;
};

}  // namespace hearth::http
