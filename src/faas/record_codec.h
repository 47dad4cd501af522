#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "faas/invocation.h"

namespace hearth::faas {

// An invocation record as bytes, for services that keep or carry it. One line of JSON with the
// fields and the lengths of what follows, then result, stack trace and log as they are: a payload
// of megabytes is copied, never escaped or parsed. docs/protocol.md, "Invocation record".
[[nodiscard]] std::string encode(const invocation_record& record);

// errc::corrupt when the text is not what encode() writes: the lengths do not match, a field is
// missing, or the result or stack trace is not one JSON value.
[[nodiscard]] result<invocation_record> decode_record(std::string_view text);

}  // namespace hearth::faas
