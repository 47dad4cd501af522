#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "faas/function.h"

namespace hearth::faas {

// A function as JSON, for services that keep or carry it. docs/protocol.md, "Table items" and
// "Lane".
[[nodiscard]] std::string encode(const function& record);

// errc::corrupt when it is not what encode() writes.
[[nodiscard]] result<function> decode_function(std::string_view text);

}  // namespace hearth::faas
