#include "lane/parser.h"

#include <algorithm>

namespace hearth::lane {

std::optional<std::string_view> parser::take(std::string_view& bytes, std::size_t size) {
    if (staged_.empty() && bytes.size() >= size) {
        const auto taken = bytes.substr(0, size);
        bytes.remove_prefix(size);
        return taken;
    }
    const std::size_t missing = std::min(size - staged_.size(), bytes.size());
    staged_ += bytes.substr(0, missing);
    bytes.remove_prefix(missing);
    if (staged_.size() < size) {
        return std::nullopt;
    }
    staged_used_ = true;
    return staged_;
}

result<> parser::feed(std::string_view bytes) {
    for (;;) {
        if (std::exchange(staged_used_, false)) {
            staged_.clear();
        }
        if (!current_) {
            if (bytes.empty()) {
                return {};
            }
            const auto header = take(bytes, header_bytes);
            if (!header) {
                return {};
            }
            auto decoded = decode_header(*header, peer_);
            if (!decoded) {
                return propagate(decoded);
            }
            current_ = *decoded;
            data_left_ = decoded->length;
            continue;
        }
        if (current_->type == frame_type::data) {
            if (bytes.empty()) {
                return {};
            }
            const auto piece = bytes.substr(0, data_left_);
            bytes.remove_prefix(piece.size());
            data_left_ -= piece.size();
            const std::uint64_t stream = current_->stream;
            if (data_left_ == 0) {
                current_.reset();
            }
            if (auto taken = to_.on_data(stream, piece); !taken) {
                return taken;
            }
            continue;
        }
        const auto payload = take(bytes, current_->length);
        if (!payload) {
            return {};
        }
        const frame_header whole = *current_;
        current_.reset();
        if (auto taken = to_.on_frame(whole, *payload); !taken) {
            return taken;
        }
    }
}

}  // namespace hearth::lane
