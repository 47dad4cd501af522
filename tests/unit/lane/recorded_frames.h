#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lane/parser.h"

namespace hearth::lane {

// What a parser found: whole frames, data frames' bytes joined where they follow each other.
class recorded_frames final : public frame_sink {
public:
    struct frame {
        frame_type type;
        std::uint64_t stream;
        std::string payload;
        friend bool operator==(const frame&, const frame&) = default;
    };

    result<> on_frame(const frame_header& header, std::string_view payload) override {
        frames.push_back({header.type, header.stream, std::string(payload)});
        return {};
    }
    result<> on_data(std::uint64_t stream, std::string_view piece) override {
        if (frames.empty() || frames.back().type != frame_type::data ||
            frames.back().stream != stream) {
            frames.push_back({frame_type::data, stream, ""});
        }
        frames.back().payload += piece;
        return {};
    }

    std::vector<frame> frames;
};

}  // namespace hearth::lane
