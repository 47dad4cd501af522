#pragma once

#include <cstdint>
#include <deque>
#include <optional>

namespace hearth::sandbox {

// Slots give each live sandbox a number of its own, and with it a host uid. A slot comes back only
// when nothing of its sandbox is left, and the longest unused one is handed out first, so that
// whatever the kernel still keeps per uid has time to settle.
class slot_pool {
public:
    explicit slot_pool(std::uint32_t count) {
        for (std::uint32_t slot = 0; slot < count; ++slot) {
            free_.push_back(slot);
        }
    }

    [[nodiscard]] std::optional<std::uint32_t> take() {
        if (free_.empty()) {
            return std::nullopt;
        }
        const std::uint32_t slot = free_.front();
        free_.pop_front();
        return slot;
    }
    void give_back(std::uint32_t slot) { free_.push_back(slot); }
    [[nodiscard]] bool empty() const { return free_.empty(); }

private:
    std::deque<std::uint32_t> free_;
};

}  // namespace hearth::sandbox
