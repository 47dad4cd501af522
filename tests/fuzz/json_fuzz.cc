#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "base/rapidjson.h"

// The scanner and RapidJSON's reader must agree on what is JSON, apart from what json.h says: numbers of
// any size, no lone surrogates, bounded depth.

namespace {

bool oracle_accepts(std::string_view text) {
    constexpr unsigned flags = rapidjson::kParseValidateEncodingFlag |
                               rapidjson::kParseNumbersAsStringsFlag |
                               rapidjson::kParseIterativeFlag;
    rapidjson::MemoryStream input(text.data(), text.size());
    rapidjson::Reader reader;
    rapidjson::BaseReaderHandler<> ignore;
    const auto outcome = reader.Parse<flags>(input, ignore);
    return !outcome.IsError() || outcome.Code() == rapidjson::kParseErrorNumberTooBig;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto checked = hearth::json::validate(text);
    if (checked && !oracle_accepts(text)) {
        std::abort();
    }
    // Members that are handed on must be values themselves.
    const auto scanned = hearth::json::scan_object(text, [](std::string_view, std::string_view raw) {
        if (!hearth::json::validate(raw)) {
            std::abort();
        }
    });
    if (scanned && !checked) {
        std::abort();
    }
    return 0;
}
