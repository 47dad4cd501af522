#pragma once

#include <cstddef>
#include <string>

#include "base/unique_fd.h"
#include "coro/scope.h"
#include "coro/task.h"
#include "uring/multishot.h"

namespace hearth::worker {

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
    // Takes what was written before this call, as valid UTF-8.
    [[nodiscard]] std::string end_invocation();

private:
    // Reads what is there, at most `limit` bytes; true when more may be left.
    bool drain(std::size_t limit);
    void keep(const char* data, std::size_t size);

    unique_fd pipe_;
    uring::readiness readable_;
    std::string kept_;
    bool capturing_ = false;
    bool cut_ = false;
    bool ended_ = false;
};

}  // namespace hearth::worker
