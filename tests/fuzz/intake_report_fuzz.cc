#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "base/json.h"
#include "faas/archive/intake_protocol.h"
#include "faas/function.h"

// What a reader of archives says after it was taken over. Nothing but a limited summary or a short,
// plain text comes out.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hearth;
    const auto read = faas::decode_report(std::as_bytes(std::span(data, size)));
    if (!read) {
        HEARTH_CHECK(read.error().code == errc::protocol, "what is no report is a protocol error");
        return 0;
    }
    HEARTH_CHECK(size == faas::report_bytes, "a report has one size");
    if (read->has_value()) {
        HEARTH_CHECK((*read)->entries <= faas::unpacked_entries_max &&
                         (*read)->unpacked_bytes <= faas::unpacked_bytes_max,
                     "within the limits of an archive");
        const auto again = faas::decode_report(faas::encode_report(*read));
        HEARTH_CHECK(again && again->value() == read->value(), "says the same again");
        return 0;
    }
    const error& why = read->error();
    HEARTH_CHECK(!why.message.empty() && why.message.size() <= faas::report_bytes &&
                     json::is_valid_utf8(why.message),
                 "a short text");
    for (const char c : why.message) {
        HEARTH_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no control character");
    }
    return 0;
}
