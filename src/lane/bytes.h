#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

// Little-endian fields of frames.

namespace hearth::lane {

// The way in which these bytes stand in memory, which is the same both ways.
template <std::unsigned_integral T>
T little_endian(T value) noexcept {
    if constexpr (std::endian::native == std::endian::little) {
        return value;
    } else {
        return std::byteswap(value);
    }
}

template <std::unsigned_integral T>
void put(std::string& out, T value) {
    const T wire = little_endian(value);
    out.append(reinterpret_cast<const char*>(&wire), sizeof wire);
}

// Over what stands at `at`.
template <std::unsigned_integral T>
void put_at(std::string& out, std::size_t at, T value) {
    const T wire = little_endian(value);
    std::memcpy(out.data() + at, &wire, sizeof wire);
}

// Reads fields from the front. What is not there reads as zero and shows in ok().
class field_reader {
public:
    explicit field_reader(std::string_view bytes) noexcept : left_(bytes) {}

    template <std::unsigned_integral T>
    T number() noexcept {
        T wire = 0;
        text(sizeof wire).copy(reinterpret_cast<char*>(&wire), sizeof wire);
        return little_endian(wire);
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
