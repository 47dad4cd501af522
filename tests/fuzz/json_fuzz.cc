#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "tests/support/json_oracle.h"

// The scanner and another parser must agree on what is JSON, apart from what json.h says.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto checked = hearth::json::validate(text);
    if (checked && !hearth::testing::json_oracle_accepts(text)) {
        std::abort();
    }
    // Members that are handed on must be values themselves.
    const auto scanned =
        hearth::json::scan_object(text, [](std::string_view, std::string_view raw) {
            if (!hearth::json::validate(raw)) {
                std::abort();
            }
        });
    if (scanned && !checked) {
        std::abort();
    }
    return 0;
}
