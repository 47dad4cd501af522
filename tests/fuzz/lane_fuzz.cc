// What a hostile peer sends over a lane: frames, cut where the first byte says, and their payloads.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "lane/messages.h"
#include "lane/parser.h"

using namespace hearth;
using namespace hearth::lane;

namespace {

template <class Message>
void check_again(std::string_view payload, std::uint64_t stream) {
    const auto said = decode<Message>(payload);
    if (!said) {
        return;
    }
    // What is accepted says the same when it is written again.
    std::string again;
    append(again, *said, stream);
    if constexpr (std::is_same_v<Message, hello>) {
        if (said->version != protocol_version) {
            return;
        }
    }
    if (std::string_view(again).substr(header_bytes) != payload) {
        std::abort();
    }
}

class checking final : public frame_sink {
public:
    result<> on_frame(const frame_header& header, std::string_view payload) override {
        if (payload.size() != header.length || header.length > payload_bytes_max(header.type)) {
            std::abort();
        }
        using enum frame_type;
        switch (header.type) {
            case hello:
                check_again<lane::hello>(payload, header.stream);
                break;
            case welcome:
                check_again<lane::welcome>(payload, header.stream);
                break;
            case goodbye:
                check_again<lane::goodbye>(payload, header.stream);
                break;
            case credit:
                check_again<lane::credit>(payload, header.stream);
                break;
            case warm:
                check_again<lane::warm>(payload, header.stream);
                break;
            case define:
                check_again<lane::define>(payload, header.stream);
                break;
            case retire:
                check_again<lane::retire>(payload, header.stream);
                break;
            case invoke:
                check_again<lane::invoke>(payload, header.stream);
                break;
            case window:
                check_again<lane::window>(payload, header.stream);
                break;
            case end:
                check_again<lane::end>(payload, header.stream);
                break;
            case refused:
                check_again<lane::refused>(payload, header.stream);
                break;
            default:
                break;
        }
        append(seen, header);
        seen += payload;
        return {};
    }
    result<> on_data(std::uint64_t, std::string_view piece) override {
        if (piece.empty()) {
            std::abort();
        }
        seen += piece;
        return {};
    }

    std::string seen;
};

bool feed_in_pieces(std::string_view bytes, side sender, std::size_t size, checking& into) {
    parser cut(sender, into);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
        if (!cut.feed(bytes.substr(0, size))) {
            return false;
        }
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const side sender = (data[0] & 1) != 0 ? side::worker : side::controller;
    const std::size_t piece = 1 + (data[0] >> 1);
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    checking whole;
    checking pieces;
    const bool one = bytes.empty() || parser(sender, whole).feed(bytes).has_value();
    const bool other = feed_in_pieces(bytes, sender, piece, pieces);
    // However the bytes arrive, they mean the same.
    if (one != other || whole.seen != pieces.seen) {
        std::abort();
    }
    return 0;
}
