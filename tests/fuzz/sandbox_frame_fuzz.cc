// Frames that a hostile function sends, and the inner parts of the worker's own.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "sandbox/frame.h"

using namespace hearth::sandbox;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    for (const auto& header : {decode_answer_header(bytes), decode_command_header(bytes)}) {
        if (!header) {
            continue;
        }
        // What is accepted is in range and says the same when it is written again.
        const auto again = encode_frame_header(*header);
        if (header->payload_length > payload_bytes_max(header->type) ||
            !std::equal(again.begin(), again.end(), bytes.begin())) {
            std::abort();
        }
    }
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto payload = decode_invoke_payload(text)) {
        if (payload->request_id.size() + payload->event.size() + invoke_prefix_size != size) {
            std::abort();
        }
    }
    return 0;
}
