#pragma once

#include <string_view>

#include "base/rapidjson.h"

namespace hearth::testing {

// Whether RapidJSON's reader accepts `text`: the same grammar as base/json.h's scanner, written by
// others. It refuses numbers beyond a double, which the scanner hands on; those count as accepted.
[[nodiscard]] inline bool json_oracle_accepts(std::string_view text) {
    constexpr unsigned flags = rapidjson::kParseValidateEncodingFlag |
                               rapidjson::kParseNumbersAsStringsFlag |
                               rapidjson::kParseIterativeFlag;
    rapidjson::MemoryStream input(text.data(), text.size());
    rapidjson::Reader reader;
    rapidjson::BaseReaderHandler<> ignore;
    const auto outcome = reader.Parse<flags>(input, ignore);
    return !outcome.IsError() || outcome.Code() == rapidjson::kParseErrorNumberTooBig;
}

}  // namespace hearth::testing
