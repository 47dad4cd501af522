#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "coro/task.h"
#include "coro/wait_list.h"
#include "lane/messages.h"
#include "net/stream.h"

namespace hearth::lane {

// The texts that follow a head as its stream's body. They stay where they are until they are sent:
// `keeper` owns them, or whoever sends them calls settle() before they go.
struct body_parts {
    std::array<std::string_view, end_sections> parts;
    std::shared_ptr<const void> keeper;

    [[nodiscard]] std::size_t size() const noexcept;
};

// What one side has to say, sent as soon as the stream takes it: everything that was said meanwhile
// goes out in the next write, and nothing waits for company. Small frames go first, then one chunk
// of each of the next few large bodies, in turn: a large body delays a small frame by one write at
// most. Large bodies are not copied. Ring thread only.
class outbox {
public:
    // Frames that wait to be sent. Beyond it the peer does not read: the lane ends.
    static constexpr std::size_t queued_bytes_max = 64u << 20;
    static constexpr std::size_t body_bytes_copied = 16u << 10;  // shorter ones go with their head
    static constexpr std::size_t chunks_per_write = 3;

    struct counters {
        std::uint64_t frames = 0;
        std::uint64_t writes = 0;
        std::uint64_t bytes = 0;
    };

    template <class Message>
    void send(const Message& said, std::uint64_t stream = 0) {
        append(queued_, said, stream);
        queued_one();
    }
    // A frame without a payload: heard, started, cancel.
    void send(frame_type bare, std::uint64_t stream = 0) {
        append(queued_, frame_header{0, bare, stream});
        queued_one();
    }
    // A frame whose payload is text as it stands: report.
    void send(frame_type type, std::string_view payload) {
        append(queued_, frame_header{static_cast<std::uint32_t>(payload.size()), type, 0});
        queued_ += payload;
        queued_one();
    }
    // Of the stream whose head was just sent.
    void send_body(std::uint64_t stream, body_parts body);
    // The peer takes more of the stream's body. False when there is no such body, or not so much.
    [[nodiscard]] bool widen(std::uint64_t stream, std::size_t bytes);
    // Afterwards nothing here refers to the caller's texts; what is unsent of them is copied. Waits
    // for a write that they are part of, as long as a write may take.
    task<void> settle(std::uint64_t stream);

    // Sends until finish() and nothing is left that may be sent (success), or an error of the
    // stream, or a stop. A write that takes longer than `write_wait_max` is an error: the peer does
    // not read.
    task<result<>> run(net::stream& to, milliseconds write_wait_max);
    void finish() noexcept;

    [[nodiscard]] bool empty() const noexcept { return queued_.empty() && bodies_.empty(); }
    [[nodiscard]] const counters& counts() const noexcept { return counts_; }

private:
    struct outgoing;

    void queued_one() {
        ++counts_.frames;
        wake_.notify_one();
    }
    void add_chunks(std::vector<std::string_view>& parts);

    std::string queued_;
    std::string sending_;
    std::unordered_map<std::uint64_t, std::shared_ptr<outgoing>> bodies_;
    std::deque<std::shared_ptr<outgoing>> ready_;      // that may send, in turn
    std::vector<std::shared_ptr<outgoing>> in_write_;  // that the present write refers to
    std::array<std::string, chunks_per_write> chunk_headers_;
    wait_list wake_;
    wait_list written_;
    bool finishing_ = false;
    counters counts_;
};

}  // namespace hearth::lane
