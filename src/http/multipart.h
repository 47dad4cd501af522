#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::http {

struct multipart_limits {
    std::size_t parts_max = 64;
    std::size_t part_header_bytes_max = 8u << 10;
    std::size_t part_headers_max = 16;
    std::size_t field_bytes_max = 256u << 10;  // of a part without file name; files have no limit
    std::size_t preamble_bytes_max = 1u << 10;
};

// The boundary in a Content-Type value of multipart/form-data: 1 to 70 characters of RFC 2046
// §5.1.1. errc::invalid_argument otherwise.
[[nodiscard]] result<std::string> boundary_of(std::string_view content_type);

// Reads multipart/form-data (RFC 7578) as a stream, in pieces of any size, without copying data.
// Strict where readers differ: CRLF only, every part has exactly one Content-Disposition with one
// name, header lines are not folded. `filename*` is ignored, as RFC 7578 §4.2 says. No I/O.
class multipart_parser {
public:
    struct part_header {
        std::string name;
        std::optional<std::string> filename;  // without a path before it
        std::string content_type;             // empty when not given
    };
    enum class event_kind : std::uint8_t {
        need_input,  // all input is used up
        part_begin,  // part() describes it
        data,        // the next bytes of the part
        part_end,
        finished,  // the closing boundary was read; what follows is ignored
    };
    struct event {
        event_kind kind = event_kind::need_input;
        std::span<const std::byte> data;  // into the input or the parser; until the next call
    };

    explicit multipart_parser(std::string_view boundary, const multipart_limits& limits = {});

    // Takes bytes from the front of `input` and shortens it by them. errc::invalid_argument when
    // the form is malformed, errc::too_large when it is over a limit; both are final.
    result<event> next(std::span<const std::byte>& input);

    [[nodiscard]] const part_header& part() const noexcept { return part_; }
    // A form that ends before this is true was cut off.
    [[nodiscard]] bool finished() const noexcept { return state_ == state::finished; }

private:
    enum class state : std::uint8_t {
        preamble,
        after_delimiter,
        closing_dash,
        delimiter_lf,
        headers,
        data,
        finished,
        failed,
    };

    std::unexpected<error> broken(errc code, const char* message);
    result<event> take_content(std::span<const std::byte>& input);
    result<std::optional<event>> take_after_delimiter(char c);
    result<std::optional<event>> take_header_byte(char c);
    result<> take_header_line(std::string_view line);
    result<> take_disposition(std::string_view value);
    result<event> count_data(std::span<const std::byte> data);

    multipart_limits limits_;
    std::string delimiter_;  // CRLF "--" boundary
    std::size_t matched_;    // how much of the delimiter the input ended with
    state state_ = state::preamble;
    bool in_part_ = false;
    bool has_disposition_ = false;
    std::size_t parts_ = 0;
    std::size_t headers_ = 0;
    std::size_t header_bytes_ = 0;
    std::size_t preamble_bytes_ = 0;
    std::size_t field_bytes_ = 0;
    std::string line_;
    part_header part_;
};

}  // namespace hearth::http
