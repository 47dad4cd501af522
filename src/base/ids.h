#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace hearth {

// Fills from the kernel's random generator; small requests come from a per-thread pool, so that an
// identifier does not cost a system call each. Not for long-lived keys.
void random_bytes(std::span<std::byte> out) noexcept;
[[nodiscard]] std::uint64_t random_u64() noexcept;

// A version 7 UUID (RFC 9562): sorts by creation time, 74 random bits. Job, request and function
// ids.
[[nodiscard]] std::string make_uuid();
// When make_uuid() made it; nothing for what is no such UUID.
[[nodiscard]] std::optional<epoch_ms> time_of_uuid(std::string_view text) noexcept;

// True for 1 to 64 characters of [A-Za-z0-9._-]: what a caller may send as an identifier.
[[nodiscard]] bool is_well_formed_id(std::string_view text) noexcept;

// Lower-case hexadecimal.
[[nodiscard]] std::string to_hex(std::span<const std::byte> bytes);

}  // namespace hearth
