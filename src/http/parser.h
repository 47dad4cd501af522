#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/head.h"
#include "http/rejection.h"

namespace hearth::http {

// Defaults are the usual limits of HTTP servers (RFC 9112 §3 recommends at least 8000 octets for
// the request line). All sizes in bytes, line ends included.
struct parser_limits {
    std::size_t request_line_bytes_max = 8u << 10;  // 414
    std::size_t header_line_bytes_max = 8u << 10;   // 431
    std::size_t headers_max = 64;                   // 431
    std::size_t head_bytes_max = 32u << 10;         // 431
};

// Problem: proxies and servers that disagree on where a request ends can be made to serve one
// user's request to another (request smuggling), and the llhttp of Debian 12 (8.1.0) accepts
// obs-fold in Content-Length (CVE-2024-27982), bare LF and more. Solution: this class checks the
// discipline of every line by itself, then llhttp reads the same bytes, and only what both
// understand in the same way is a request. Any doubt is a rejection after which the connection
// closes.
//
// A push parser for one request head at a time: bytes go in, in pieces of any size, and it stops
// exactly after the empty line, so that the body and the next request stay with the caller. The
// head is kept in one buffer that is used again for the next request. No I/O, no thread.
//
// What is refused, with 400 unless noted: bare CR or LF, obs-fold, white space around a field name,
// control characters, more than one empty line before the request line; Content-Length together
// with Transfer-Encoding, twice (even if equal), or other than 1 to 18 digits; any
// Transfer-Encoding but one "chunked" in HTTP/1.1; a missing (HTTP/1.1), repeated or malformed
// Host, or one that contradicts an absolute target; HTTP/0.9; other versions than 1.0 and 1.1
// (505), unknown methods (501), unknown expectations (417).
class head_parser {
public:
    enum class status : std::uint8_t { incomplete, complete, failed };

    explicit head_parser(const parser_limits& limits = {}) : limits_(limits) {}
    head_parser(const head_parser&) = delete;
    head_parser& operator=(const head_parser&) = delete;

    // Takes bytes from the front of `input` and shortens it by them. After `complete` or `failed`
    // nothing more is taken until reset().
    status feed(std::span<const std::byte>& input);

    // After `complete`; until reset().
    [[nodiscard]] const request_head& head() const noexcept { return head_; }
    // After `failed`.
    [[nodiscard]] const rejection& error() const noexcept { return error_; }
    // The bytes of the head so far.
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    // What is known of a request that failed: its method when its line was understood.
    [[nodiscard]] bool has_request_line() const noexcept { return has_request_line_; }

    // For what only the caller can know, for example that the head came too slowly.
    void fail(const rejection& why) noexcept {
        error_ = why;
        status_ = status::failed;
    }
    void reset() noexcept;

private:
    struct line_parts {  // offsets into bytes_, which may move while it grows
        std::size_t name_begin, name_end, value_begin, value_end;
    };

    status reject(int code, std::string_view name, std::string_view message);
    status bad(std::string_view message) { return reject(400, "bad_request", message); }
    [[nodiscard]] std::size_t line_bytes_max() const noexcept;
    status take_line();
    status take_request_line(std::string_view line);
    status take_header_line(std::string_view line);
    status finish();
    status check_headers();
    status check_framing(std::string_view name, std::string_view value);
    status check_host(std::string_view value);
    status check_expectation(std::string_view value);
    void note_connection_options(std::string_view value);
    status confirm_with_llhttp();

    parser_limits limits_;
    std::string bytes_;
    std::string decoded_path_;
    std::size_t line_begin_ = 0;
    std::size_t target_begin_ = 0;
    std::size_t target_size_ = 0;
    std::size_t method_size_ = 0;
    std::vector<line_parts> lines_;
    bool has_request_line_ = false;
    bool skipped_empty_line_ = false;
    bool has_host_ = false;
    bool close_asked_ = false;
    bool keep_alive_asked_ = false;
    status status_ = status::incomplete;
    request_head head_;
    rejection error_;
};

}  // namespace hearth::http
