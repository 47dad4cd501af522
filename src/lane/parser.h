#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lane/frame.h"

namespace hearth::lane {

// What a parser finds. An error ends the parsing, and the lane.
class frame_sink {
public:
    // A whole frame of any type but data; `payload` is valid during the call.
    virtual result<> on_frame(const frame_header& header, std::string_view payload) = 0;
    // The next bytes of a stream's body, in whatever pieces they arrived.
    virtual result<> on_data(std::uint64_t stream, std::string_view piece) = 0;

protected:
    ~frame_sink() = default;
};

// Cuts bytes, as they arrive, into frames. Payloads are handed on where they lie: only what a read
// cut in two is put together, which payload_bytes_max() bounds, and data never is. Pure; the peer
// may be hostile.
class parser {
public:
    parser(side peer, frame_sink& to) noexcept : peer_(peer), to_(to) {}

    // errc::protocol, or what the sink returned. Not to be called again after an error.
    [[nodiscard]] result<> feed(std::string_view bytes);
    // Nothing has been read of a frame that is not complete.
    [[nodiscard]] bool between_frames() const noexcept { return !current_ && staged_.empty(); }

private:
    // The front `size` bytes of what is staged and `bytes` together; nullopt when there are fewer.
    std::optional<std::string_view> take(std::string_view& bytes, std::size_t size);

    side peer_;
    frame_sink& to_;
    std::optional<frame_header> current_;
    std::size_t data_left_ = 0;
    std::string staged_;
    bool staged_used_ = false;
};

}  // namespace hearth::lane
