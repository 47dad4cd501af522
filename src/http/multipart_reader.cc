#include "http/multipart_reader.h"

namespace hearth::http {

task<result<multipart_parser::event>> multipart_reader::next(deadline until) {
    using event_kind = multipart_parser::event_kind;
    for (;;) {
        auto event = parser_.next(unread_);
        const bool at_end = event && event->kind == event_kind::finished && body_.complete();
        if (!event || at_end ||
            (event->kind != event_kind::need_input && event->kind != event_kind::finished)) {
            co_return event;
        }
        auto piece = co_await body_.read(until);
        if (!piece) {
            co_return propagate(piece);
        }
        if (piece->empty() && !parser_.finished()) {
            co_return fail(errc::invalid_argument, "The form ends before its last boundary.");
        }
        unread_ = *piece;
    }
}

}  // namespace hearth::http
