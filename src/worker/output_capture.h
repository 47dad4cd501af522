#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "coro/scope.h"
#include "coro/task.h"
#include "uring/multishot.h"

namespace hearth::worker {

// Of one call: beyond it the call counts as a flood. What it prints is dropped as before; this is
// for operators to know of.
inline constexpr std::uint64_t output_flood_bytes = 16U << 20;

// What a sandbox writes to stdout and stderr. The pipe is always being drained, so that a function
// never blocks on it; of each invocation the first faas::log_bytes_max bytes are kept, cut at a
// mark. Bytes that come between invocations are dropped. What arrives is hostile: nothing here
// interprets it.
class output_capture {
public:
    // `pipe` is the non-blocking read end. watch() runs until stop().
    output_capture(uring::ring& home, unique_fd pipe);

    task<void> watch();
    task<void> stop();

    void begin_invocation();
    // More than output_flood_bytes came since begin_invocation().
    [[nodiscard]] bool flooded() const noexcept { return written_ > output_flood_bytes; }
    // Takes what was written before this call, as valid UTF-8.
    [[nodiscard]] std::string end_invocation();

private:
    // Reads what is there, at most `limit` bytes; true when more may be left.
    bool drain(std::size_t limit);
    void keep(const char* data, std::size_t size);

    unique_fd pipe_;
    uring::readiness readable_;
    std::string kept_;
    std::uint64_t written_ = 0;  // in this invocation
    bool capturing_ = false;
    bool cut_ = false;
    bool ended_ = false;
};

}  // namespace hearth::worker
