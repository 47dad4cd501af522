#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lane/byte_budget.h"
#include "lane/outbox.h"

namespace hearth::lane {

// The body of a stream as it arrives: its bytes go straight to where they belong, copied once. What
// exceeds body_bytes_free waits for the budget, which its sender learns by a window frame. Ring
// thread only.
class incoming_body final : private byte_budget::claim {
public:
    struct section {
        std::string* into;
        std::size_t bytes;
    };

    // Everything outlives it; at most end_sections, whose sizes are within their limits.
    incoming_body(std::uint64_t stream, std::initializer_list<section> sections,
                  byte_budget& budget, outbox& answers);

    // errc::protocol when it is more than was announced, or more than the sender was allowed.
    [[nodiscard]] result<> take(std::string_view piece);
    [[nodiscard]] bool complete() const noexcept { return received_ == total_; }

private:
    void on_granted() noexcept override;
    void reserve();

    std::uint64_t stream_;
    std::array<section, end_sections> sections_{};
    outbox& answers_;
    std::size_t current_ = 0;  // section
    std::size_t total_ = 0;
    std::size_t received_ = 0;
    std::size_t allowed_ = 0;
};

}  // namespace hearth::lane
