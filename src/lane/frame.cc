#include "lane/frame.h"

#include <array>

#include "base/check.h"
#include "base/concat.h"
#include "faas/worker_report.h"
#include "lane/bytes.h"

namespace hearth::lane {
namespace {

enum class sent_by : std::uint8_t { controller, worker, both };

struct frame_rule {
    std::string_view name;
    sent_by from;
    bool on_stream;
    std::size_t length_min;
    std::size_t length_max;
};

// In the order of frame_type.
constexpr std::array rules{
    frame_rule{"hello", sent_by::worker, false, 10, 10 + token_bytes_max + id_bytes_max},
    frame_rule{"welcome", sent_by::controller, false, 8, 8},
    frame_rule{"goodbye", sent_by::both, false, 2, 2 + text_bytes_max},
    frame_rule{"report", sent_by::worker, false, 2, faas::worker_report_bytes_max},
    frame_rule{"heard", sent_by::controller, false, 0, 0},
    frame_rule{"credit", sent_by::worker, false, 4, 4},
    frame_rule{"warm", sent_by::worker, false, 13, 12 + id_bytes_max},
    frame_rule{"define", sent_by::controller, false, 6, 4 + definition_bytes_max},
    frame_rule{"retire", sent_by::controller, false, 9, 8 + id_bytes_max},
    frame_rule{"invoke", sent_by::controller, true, 16, 16 + (2 * id_bytes_max)},
    frame_rule{"data", sent_by::both, true, 1, chunk_bytes_max},
    frame_rule{"window", sent_by::both, true, 4, 4},
    frame_rule{"started", sent_by::worker, true, 0, 0},
    frame_rule{"end", sent_by::worker, true, 60, 60 + text_bytes_max},
    frame_rule{"refused", sent_by::worker, true, 2, 2 + text_bytes_max},
    frame_rule{"cancel", sent_by::controller, true, 0, 0},
};
static_assert(rules.size() == static_cast<std::size_t>(frame_type_last));

const frame_rule& rule_of(frame_type type) noexcept {
    return rules[static_cast<std::size_t>(type) - 1];
}

bool may_send(sent_by whom, side sender) noexcept {
    return whom == sent_by::both || (whom == sent_by::controller) == (sender == side::controller);
}

}  // namespace

std::size_t payload_bytes_max(frame_type type) noexcept {
    return rule_of(type).length_max;
}

void append(std::string& out, const frame_header& header) {
    put(out, header.length);
    put(out, static_cast<std::uint8_t>(header.type));
    put(out, std::uint8_t{0});
    put(out, std::uint16_t{0});
    put(out, header.stream);
}

result<frame_header> decode_header(std::string_view bytes, side sender) {
    HEARTH_CHECK(bytes.size() == header_bytes, "a whole header");
    field_reader from(bytes);
    const auto length = from.number<std::uint32_t>();
    const auto type = from.number<std::uint8_t>();
    const auto flags = from.number<std::uint8_t>();
    const auto reserved = from.number<std::uint16_t>();
    const auto stream = from.number<std::uint64_t>();
    if (type < 1 || type > static_cast<std::uint8_t>(frame_type_last)) {
        return fail(errc::protocol, concat("a frame of the unknown type ", type));
    }
    const frame_rule& rule = rule_of(static_cast<frame_type>(type));
    if (!may_send(rule.from, sender)) {
        return fail(errc::protocol, concat("a frame ", rule.name, " from the wrong side"));
    }
    if (length < rule.length_min || length > rule.length_max) {
        return fail(errc::protocol, concat("a frame ", rule.name, " of ", length, " bytes"));
    }
    if (flags != 0 || reserved != 0) {
        return fail(errc::protocol, concat("a frame ", rule.name, " with reserved bits set"));
    }
    if ((stream != 0) != rule.on_stream) {
        return fail(errc::protocol, concat("a frame ", rule.name, " on stream ", stream));
    }
    return frame_header{length, static_cast<frame_type>(type), stream};
}

}  // namespace hearth::lane
