#include "worker/output_capture.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <unistd.h>

#include "base/concat.h"
#include "base/json.h"
#include "coro/yield.h"
#include "faas/function.h"

namespace hearth::worker {
namespace {

constexpr std::size_t read_bytes = 64 << 10;       // a pipe's default capacity
constexpr std::size_t turn_bytes_max = 256 << 10;  // then others get the event loop
constexpr std::size_t final_bytes_max = 1u << 20;  // a flood is not followed beyond the result

// Cuts valid UTF-8 between characters.
void shorten(std::string& text, std::size_t bytes_max) {
    if (text.size() > bytes_max) {
        while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0) == 0x80) {
            --bytes_max;
        }
        text.resize(bytes_max);
    }
}

}  // namespace

output_capture::output_capture(uring::ring& home, unique_fd pipe)
    : pipe_(std::move(pipe)), readable_(home, pipe_.get()) {}

task<void> output_capture::watch() {
    while (!ended_) {
        auto ready = co_await readable_.next(never);
        if (!ready) {
            co_return;
        }
        while (drain(turn_bytes_max)) {
            co_await yield();
        }
    }
}

task<void> output_capture::stop() {
    ended_ = true;
    co_await readable_.finish();
}

void output_capture::begin_invocation() {
    // What is still in the pipe was written before, perhaps for another caller.
    capturing_ = false;
    drain(final_bytes_max);
    kept_.clear();
    written_ = 0;
    cut_ = false;
    capturing_ = true;
}

std::string output_capture::end_invocation() {
    drain(final_bytes_max);
    capturing_ = false;
    std::string logs = std::exchange(kept_, {});
    if (!json::is_valid_utf8(logs)) {
        logs = json::replace_invalid_utf8(logs);
        cut_ = cut_ || logs.size() > faas::log_bytes_max;
        shorten(logs, faas::log_bytes_max);  // a replaced byte takes three
    }
    if (cut_) {
        logs += concat("\n[log cut at ", faas::log_bytes_max, " bytes]\n");
    }
    return logs;
}

bool output_capture::drain(std::size_t limit) {
    // One for the thread: it is overwritten by each read and never suspended over.
    thread_local std::array<char, read_bytes> scratch;
    for (std::size_t total = 0; total < limit;) {
        const ssize_t count = ::read(pipe_.get(), scratch.data(), scratch.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            ended_ = ended_ || count == 0 || errno != EAGAIN;
            return false;
        }
        keep(scratch.data(), static_cast<std::size_t>(count));
        total += static_cast<std::size_t>(count);
    }
    return true;
}

void output_capture::keep(const char* data, std::size_t size) {
    if (capturing_) {
        const std::size_t room = faas::log_bytes_max - kept_.size();
        written_ += size;
        cut_ = cut_ || size > room;
        kept_.append(data, std::min(size, room));
    }
}

}  // namespace hearth::worker
