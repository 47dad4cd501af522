#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "faas/function.h"

namespace hearth::aws {

// A function as JSON, for the attribute "record" of its item. docs/protocol.md, "Table items".
[[nodiscard]] std::string encode(const faas::function& record);

// errc::corrupt when it is not what encode() writes.
[[nodiscard]] result<faas::function> decode_function(std::string_view text);

}  // namespace hearth::aws
