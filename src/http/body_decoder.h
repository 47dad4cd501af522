#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "http/head.h"
#include "http/rejection.h"

namespace hearth::http {

struct body_limits {
    std::uint64_t body_bytes_max = 64u << 20;          // 413
    std::size_t chunk_line_bytes_max = 256;            // size and extension of one chunk; 400
    std::size_t chunk_extension_bytes_max = 4u << 10;  // of all chunks together; 400
    std::size_t trailer_bytes_max = 8u << 10;          // 431
};

// Finds a body's bytes in the stream that follows a head: none, Content-Length, or chunked. Chunk
// framing is read to the letter of RFC 9112 §7.1: 1 to 16 hexadecimal digits, CRLF everywhere, no
// white space before the extension. Extensions and trailers are bounded, checked for control
// characters and ignored; a trailer that would frame or route a message is refused. Data is never
// copied. No I/O.
class body_decoder {
public:
    enum class status : std::uint8_t {
        incomplete,  // all input is used up; more is needed
        data,        // `data` holds the next bytes of the body
        complete,    // the body is over; the rest of the input belongs to the next request
        failed,
    };

    explicit body_decoder(const body_limits& limits = {}) noexcept : limits_(limits) {}

    // Makes ready for the body that `head` announces. A Content-Length beyond the limit fails at
    // once.
    status begin(const request_head& head) noexcept;
    // Takes bytes from the front of `input` and shortens it by them; `data` points into the input.
    status next(std::span<const std::byte>& input, std::span<const std::byte>& data) noexcept;

    [[nodiscard]] bool complete() const noexcept { return state_ == state::complete; }
    [[nodiscard]] const rejection& error() const noexcept { return error_; }
    // Bytes of the body so far.
    [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
    // What is still to come of a body with Content-Length; of a chunked one, of this chunk.
    [[nodiscard]] std::uint64_t remaining() const noexcept { return remaining_; }
    [[nodiscard]] bool chunked() const noexcept { return chunked_; }

private:
    enum class state : std::uint8_t {
        fixed,
        chunk_size,
        chunk_extension,
        chunk_size_lf,
        chunk_data,
        chunk_data_cr,
        chunk_data_lf,
        trailer_begin,
        trailer_name,
        trailer_value,
        trailer_lf,
        last_lf,
        complete,
        failed,
    };

    status reject(int code, std::string_view name, std::string_view message) noexcept;
    status bad(std::string_view message) noexcept { return reject(400, "bad_request", message); }
    bool step(char c) noexcept;
    bool take_size_digit(char c) noexcept;
    bool take_trailer(char c) noexcept;
    void end_of_size_line() noexcept;
    void expect(char c, char wanted, state then) noexcept;

    static constexpr std::size_t name_kept_max = 18;  // longer than any name that is refused

    body_limits limits_;
    rejection error_;
    state state_ = state::complete;
    bool chunked_ = false;
    std::uint64_t received_ = 0;
    std::uint64_t remaining_ = 0;
    std::size_t digits_ = 0;
    std::size_t line_bytes_ = 0;
    std::size_t extension_bytes_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::size_t name_size_ = 0;
    char name_[name_kept_max] = {};
};

}  // namespace hearth::http
