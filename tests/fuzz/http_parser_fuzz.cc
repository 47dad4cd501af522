#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "tests/unit/http/reading.h"

// A connection's bytes, as they come. What holds for every input: how the bytes are cut into pieces
// makes no difference, and a rejection is one of the statuses that are documented.

namespace {

using hearth::http::read_in_pieces;
using hearth::http::read_split_at;
using hearth::http::reading;

bool is_documented(int status) {
    switch (status) {
        case 200:
        case 400:
        case 413:
        case 414:
        case 417:
        case 431:
        case 501:
        case 505:
            return true;
        default:
            return false;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const reading whole = read_in_pieces(bytes, size + 1);
    for (const int status : whole.statuses) {
        HEARTH_CHECK(is_documented(status), "a rejection has a documented status");
    }
    HEARTH_CHECK(read_in_pieces(bytes, 1) == whole, "byte by byte reads the same");
    HEARTH_CHECK(read_in_pieces(bytes, 7) == whole, "in small pieces reads the same");
    // The input itself chooses one more place, so that the fuzzer can move it.
    const std::size_t place = size == 0 ? 0 : data[size - 1] * size / 256;
    HEARTH_CHECK(read_split_at(bytes, place) == whole, "split anywhere reads the same");
    return 0;
}
