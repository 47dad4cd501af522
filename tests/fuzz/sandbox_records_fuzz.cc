#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/check.h"
#include "sandbox/protocol.h"
#include "sandbox/status_pipe.h"
#include "sandbox/zygote_protocol.h"

// What sandboxd reads from an init, and the zygote from sandboxd. The first byte is the number of
// descriptors. What is accepted is in range and is the input byte by byte.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hearth;
    if (size == 0) {
        return 0;
    }
    const std::size_t descriptors = data[0] % (sandbox::packet_descriptors_max + 2);
    const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
    if (const auto record = sandbox::decode_status(bytes)) {
        HEARTH_CHECK(std::memcmp(&*record, bytes.data(), bytes.size()) == 0, "the same record");
        HEARTH_CHECK(sandbox::text_of(record->stage).size() < record->stage.size(), "an end");
        switch (record->kind) {
            case sandbox::status_kind::failed:
            case sandbox::status_kind::sealed:
            case sandbox::status_kind::ended:
            case sandbox::status_kind::shell:
                break;
            default:
                HEARTH_CHECK(false, "a kind that is known");
        }
    }
    if (const auto request = sandbox::decode_fork_request(bytes, descriptors)) {
        HEARTH_CHECK(std::memcmp(&*request, bytes.data(), bytes.size()) == 0, "the same request");
        const std::size_t lists =
            descriptors - sandbox::fork_descriptors_min - std::size_t{request->placed};
        HEARTH_CHECK(request->placed <= 1 && lists <= sandbox::cgroup_hierarchies_max,
                     "as many descriptors as there is room for");
    } else {
        HEARTH_CHECK(request.error().code == errc::protocol, "a protocol error");
    }
    return 0;
}
