#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <deque>
#include <span>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/packet_socket.h"

namespace hearth::sandbox {

// Packets on their way to a worker that may read slowly. Sandboxd never waits for it: what the
// socket does not take is kept here, and while anything is kept no request is read, so that the
// queue is bounded by two packets per sandbox.
class outbox {
public:
    explicit outbox(int socket) : socket_(socket) {}

    [[nodiscard]] result<> send(std::span<const std::byte> packet, unique_fd descriptor = {}) {
        waiting& added = queue_.emplace_back();
        added.size = packet.size();
        std::memcpy(added.bytes.data(), packet.data(), packet.size());
        added.descriptor = std::move(descriptor);
        return flush();
    }

    // Sends what the socket takes now.
    [[nodiscard]] result<> flush() {
        while (!queue_.empty()) {
            const waiting& next = queue_.front();
            const std::array descriptors{next.descriptor.get()};
            auto sent = send_packet(
                socket_, std::span(next.bytes).first(next.size),
                next.descriptor ? std::span<const int>(descriptors) : std::span<const int>());
            if (!sent && sent.error().code == errc::limit_exceeded) {
                return {};
            }
            if (!sent) {
                return sent;
            }
            queue_.pop_front();
        }
        return {};
    }

    [[nodiscard]] bool empty() const { return queue_.empty(); }

private:
    struct waiting {
        std::array<std::byte, packet_size_max> bytes;
        std::size_t size = 0;
        unique_fd descriptor;
    };

    int socket_;
    std::deque<waiting> queue_;
};

}  // namespace hearth::sandbox
