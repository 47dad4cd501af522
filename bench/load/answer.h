#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::bench {

// Reads one HTTP/1.1 answer after another from the bytes of a connection, doing no more than it
// needs to find their ends, so that the client stays ahead of the server. Only answers with a
// Content-Length, or without a body by their status, are understood: all of Hearth's and of the
// servers that it is compared with.
class answer {
public:
    static constexpr std::size_t head_bytes_max = 65'536;

    // What of a body is kept for body(); the rest is counted and dropped.
    explicit answer(std::size_t body_kept_max) : body_kept_max_(body_kept_max) {}

    // Takes bytes up to the end of the answer; how many it took. errc::protocol for what is no such
    // answer, and the connection is then only fit to close.
    result<std::size_t> take(std::string_view bytes);
    [[nodiscard]] bool complete() const noexcept { return in_body_ && body_left_ == 0; }
    // Before the next one.
    void reset() noexcept;

    [[nodiscard]] int status() const noexcept { return status_; }
    // The server closes the connection after this answer.
    [[nodiscard]] bool closes() const noexcept { return closes_; }
    [[nodiscard]] std::string_view body() const noexcept { return body_; }

private:
    result<> read_head(std::string_view head);
    std::size_t take_body(std::string_view bytes);

    std::size_t body_kept_max_;
    std::string head_;  // of a head that came in parts
    std::string body_;
    std::size_t body_left_ = 0;
    int status_ = 0;
    bool in_body_ = false;
    bool closes_ = false;
};

}  // namespace hearth::bench
