#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// Little-endian fields of frames.

namespace hearth::lane {

template <std::unsigned_integral T>
void put(std::string& out, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
    }
}

// Reads fields from the front. What is not there reads as zero and shows in ok().
class field_reader {
public:
    explicit field_reader(std::string_view bytes) noexcept : left_(bytes) {}

    template <std::unsigned_integral T>
    T number() noexcept {
        const auto bytes = text(sizeof(T));
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
        }
        return static_cast<T>(value);
    }
    std::string_view text(std::size_t size) noexcept {
        if (size > left_.size()) {
            ok_ = false;
            return {};
        }
        const auto taken = left_.substr(0, size);
        left_.remove_prefix(size);
        return taken;
    }
    std::string_view rest() noexcept { return text(left_.size()); }

    [[nodiscard]] bool ok() const noexcept { return ok_; }
    // Everything was read, and everything that was read was there.
    [[nodiscard]] bool complete() const noexcept { return ok_ && left_.empty(); }

private:
    std::string_view left_;
    bool ok_ = true;
};

}  // namespace hearth::lane
