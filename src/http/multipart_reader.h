#pragma once

#include <span>
#include <string_view>

#include "http/body.h"
#include "http/multipart.h"

namespace hearth::http {

// The form in a request's body, part by part:
//
//     multipart_reader form(asked.body(), *boundary);
//     for (;;) {
//         auto event = co_await form.next();   // part_begin, data, part_end, finished
//         …
//     }
class multipart_reader {
public:
    // `body` outlives this.
    multipart_reader(body_reader& body, std::string_view boundary,
                     const multipart_limits& limits = {})
        : body_(body), parser_(boundary, limits) {}
    multipart_reader(const multipart_reader&) = delete;
    multipart_reader& operator=(const multipart_reader&) = delete;

    // The next event, never need_input. Its data is valid until the next call. After `finished` the
    // rest of the body has been read, so that the connection can be kept. Errors are those of the
    // parser and the body; a form that was cut off is errc::invalid_argument.
    task<result<multipart_parser::event>> next(deadline until = never);

    // After part_begin.
    [[nodiscard]] const multipart_parser::part_header& part() const noexcept {
        return parser_.part();
    }

private:
    body_reader& body_;
    multipart_parser parser_;
    std::span<const std::byte> unread_;
};

}  // namespace hearth::http
