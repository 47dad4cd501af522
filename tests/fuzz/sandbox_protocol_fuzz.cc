// Packets on the control socket, both directions. The first byte is the number of descriptors.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "sandbox/protocol.h"

using namespace hearth::sandbox;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::size_t descriptors = data[0] % (packet_descriptors_max + 2);
    const auto packet = std::as_bytes(std::span(data + 1, size - 1));
    const auto same = [&](const auto& decoded) {
        const auto bytes = bytes_of(decoded);
        if (bytes.size() != packet.size() ||
            std::memcmp(bytes.data(), packet.data(), bytes.size()) != 0) {
            std::abort();
        }
    };
    if (const auto request = decode_request(packet, descriptors)) {
        std::visit(same, *request);
        const auto* create = std::get_if<create_packet>(&*request);
        if (create != nullptr && (!check_limits(*create) || descriptors != create_descriptors)) {
            std::abort();
        }
    }
    if (const auto event = decode_event(packet, descriptors)) {
        std::visit(same, *event);
    }
    return 0;
}
