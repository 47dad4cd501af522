#include "base/ids.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <pthread.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/clock.h"

namespace hearth {
namespace {

void kernel_random(std::span<std::byte> out) noexcept {
    while (!out.empty()) {
        const ssize_t count = ::getrandom(out.data(), out.size(), 0);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        HEARTH_CHECK(count > 0, "getrandom failed");
        out = out.subspan(static_cast<std::size_t>(count));
    }
}

struct random_pool {
    std::array<std::byte, 1024> bytes;
    std::size_t used = sizeof bytes;
};
thread_local random_pool pool;

// A forked child has its parent's bytes; it must not hand out the same identifiers.
[[maybe_unused]] const int fork_guard =
    ::pthread_atfork(nullptr, nullptr, [] { pool.used = sizeof pool.bytes; });

constexpr auto may_be_in_id = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("abcdefghijklmnopqrstuvwxyz"
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")) {
        table[static_cast<unsigned char>(c)] = true;
    }
    return table;
}();

constexpr char hex_digits[] = "0123456789abcdef";

}  // namespace

void random_bytes(std::span<std::byte> out) noexcept {
    if (out.size() > pool.bytes.size() / 4) {
        kernel_random(out);
        return;
    }
    if (pool.used + out.size() > pool.bytes.size()) {
        kernel_random(pool.bytes);
        pool.used = 0;
    }
    std::byte* source = pool.bytes.data() + pool.used;
    std::memcpy(out.data(), source, out.size());
    std::memset(source, 0, out.size());  // a byte is handed out once
    pool.used += out.size();
}

std::uint64_t random_u64() noexcept {
    std::uint64_t value = 0;
    random_bytes(std::as_writable_bytes(std::span(&value, 1)));
    return value;
}

std::string make_uuid() {
    std::array<std::byte, 16> bytes;
    random_bytes(bytes);
    const auto now = static_cast<std::uint64_t>(wall_clock_ms());
    for (int i = 0; i < 6; ++i) {
        bytes[static_cast<std::size_t>(i)] = static_cast<std::byte>(now >> (40 - 8 * i));
    }
    bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x70};
    bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
    std::string text;
    text.reserve(36);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text += '-';
        }
        const auto value = std::to_integer<unsigned>(bytes[i]);
        text += hex_digits[value >> 4];
        text += hex_digits[value & 15];
    }
    return text;
}

std::optional<epoch_ms> time_of_uuid(std::string_view text) noexcept {
    constexpr std::string_view shape = "xxxxxxxx-xxxx-7xxx-xxxx-xxxxxxxxxxxx";
    if (text.size() != shape.size()) {
        return std::nullopt;
    }
    epoch_ms time = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto digit = std::string_view(hex_digits).find(text[i]);
        if (shape[i] == 'x' ? digit == std::string_view::npos : text[i] != shape[i]) {
            return std::nullopt;
        }
        if (i < 13 && shape[i] == 'x') {  // 48 bits
            time = time * 16 + static_cast<epoch_ms>(digit);
        }
    }
    return time;
}

bool is_well_formed_id(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
        return may_be_in_id[static_cast<unsigned char>(c)];
    });
}

std::string to_hex(std::span<const std::byte> bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::byte byte : bytes) {
        const auto value = std::to_integer<unsigned>(byte);
        text += hex_digits[value >> 4];
        text += hex_digits[value & 15];
    }
    return text;
}

}  // namespace hearth
