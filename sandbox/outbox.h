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
// queue is bounded by three packets per sandbox.
class outbox {
public:
    explicit outbox(int socket) : socket_(socket) {}

    using carried = std::array<unique_fd, created_descriptors_max>;

    // The descriptors that are set must come first.
    [[nodiscard]] result<> send(std::span<const std::byte> packet, carried descriptors = {}) {
        waiting& added = queue_.emplace_back();
        added.size = packet.size();
        std::memcpy(added.bytes.data(), packet.data(), packet.size());
        added.descriptors = std::move(descriptors);
        return flush();
    }

    // Sends what the socket takes now.
    [[nodiscard]] result<> flush() {
        while (!queue_.empty()) {
            const waiting& next = queue_.front();
            std::array<int, created_descriptors_max> descriptors{};
            std::size_t count = 0;
            while (count < descriptors.size() && next.descriptors[count]) {
                descriptors[count] = next.descriptors[count].get();
                ++count;
            }
            auto sent = send_packet(socket_, std::span(next.bytes).first(next.size),
                                    std::span(descriptors).first(count));
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
        carried descriptors;
    };

    int socket_;
    std::deque<waiting> queue_;
};

}  // namespace hearth::sandbox
