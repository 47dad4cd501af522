#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/multipart.h"

// The first line is a Content-Type value, the rest a form. What holds for every input: how the form
// is cut into pieces makes no difference, events come in order, and data is never more than what
// came in.

namespace {

using hearth::http::multipart_parser;
using kind = multipart_parser::event_kind;

struct form {
    std::string events;  // one letter each, without the number of data events
    std::string content;

    bool operator==(const form&) const = default;
};

// False when the form is over.
bool feed(multipart_parser& parser, std::string_view piece, form& read, bool& in_part) {
    std::span<const std::byte> input = std::as_bytes(std::span(piece));
    for (;;) {
        const auto event = parser.next(input);
        if (!event) {
            read.events += 'x';
            return false;
        }
        switch (event->kind) {
            case kind::need_input:
                HEARTH_CHECK(input.empty(), "input is used up before more is asked for");
                return true;
            case kind::part_begin:
                HEARTH_CHECK(!in_part, "parts do not nest");
                in_part = true;
                read.events += '(';
                read.content += parser.part().name + '\n' + parser.part().filename.value_or("") +
                                '\n' + parser.part().content_type + '\n';
                break;
            case kind::data:
                HEARTH_CHECK(in_part && !event->data.empty(), "data belongs to a part");
                read.content.append(reinterpret_cast<const char*>(event->data.data()),
                                    event->data.size());
                break;
            case kind::part_end:
                HEARTH_CHECK(in_part, "a part ends once");
                in_part = false;
                read.events += ')';
                break;
            case kind::finished:
                HEARTH_CHECK(!in_part && parser.finished(), "all parts have ended");
                read.events += '.';
                return false;
        }
    }
}

form read_in_pieces(const std::string& boundary, std::string_view body, std::size_t piece) {
    multipart_parser parser(boundary);
    form read;
    bool in_part = false;
    for (std::size_t at = 0; at < body.size(); at += piece) {
        if (!feed(parser, body.substr(at, piece), read, in_part)) {
            break;
        }
    }
    return read;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::string_view line = input.substr(0, input.find('\n'));
    const auto boundary = hearth::http::boundary_of(line);
    if (!boundary) {
        return 0;
    }
    HEARTH_CHECK(!boundary->empty() && boundary->size() <= 70, "a boundary has 1 to 70 characters");
    const std::string_view body = input.substr(std::min(line.size() + 1, input.size()));
    const form whole = read_in_pieces(*boundary, body, size + 1);
    HEARTH_CHECK(whole.content.size() <= 4 * size, "nothing is made up");
    HEARTH_CHECK(read_in_pieces(*boundary, body, 1) == whole, "byte by byte reads the same");
    HEARTH_CHECK(read_in_pieces(*boundary, body, 5) == whole, "in small pieces reads the same");
    return 0;
}
