#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace hearth::faas {

// Job ids that say of themselves that they were given out. A queue like SQS cannot be asked for a
// job, and a job has no record before it begins; with these its status can still be told from that
// of an id that never was, at the price of no write and no read. A UUID of version 7, a dot, and 64
// bits of its HMAC-SHA-256 in hexadecimal. docs/protocol.md, "Job ids". Any thread.
class job_ids {
public:
    // Controllers with the same secret know each other's ids.
    explicit job_ids(std::string_view secret);

    [[nodiscard]] std::string make() const;
    // When it was made; nothing for what was not made with this secret.
    [[nodiscard]] std::optional<epoch_ms> issued_at(std::string_view id) const;

private:
    [[nodiscard]] std::string mark_of(std::string_view uuid) const;

    std::array<std::byte, 32> key_;
};

}  // namespace hearth::faas
