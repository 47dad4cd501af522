#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "http/request.h"

namespace hearth::ctrl {

// The key that callers of the API show, in `x-api-key` or as `Authorization: Bearer`. Only its
// SHA-256 is kept, and hashes are compared in constant time, so that neither content nor length
// leaks by timing. Immutable; any thread.
class api_key {
public:
    explicit api_key(std::string_view key);

    [[nodiscard]] bool admits(const http::request& request) const;
    [[nodiscard]] bool matches(std::string_view shown) const;

private:
    std::array<std::byte, 32> hash_;
};

}  // namespace hearth::ctrl
