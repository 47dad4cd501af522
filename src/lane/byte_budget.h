#pragma once

#include <cstddef>

#include "coro/intrusive_list.h"

namespace hearth::lane {

// Problem: bodies of megabytes that arrive at once, from many peers, would take memory without
// bound. Solution: what exceeds a body's free part is claimed here first; claims are granted in
// order of arrival, so that a large one is not overtaken for ever. Whoever holds a grant needs
// nothing more to finish, hence no deadlock. Single-threaded.
class byte_budget {
public:
    class claim : public list_hook<claim> {
    protected:
        claim() noexcept = default;
        ~claim() { release(); }
        // The bytes may come now.
        virtual void on_granted() noexcept = 0;
        // Gives back what is held, or stops waiting.
        void release() noexcept;

    private:
        friend class byte_budget;
        byte_budget* held_from_ = nullptr;
        std::size_t bytes_ = 0;
    };

    // More than any one body has.
    explicit byte_budget(std::size_t bytes) noexcept : free_(bytes) {}

    // on_granted() comes during the call or later.
    void request(claim& by, std::size_t bytes) noexcept;

    [[nodiscard]] std::size_t available() const noexcept { return free_; }
    [[nodiscard]] bool has_waiting() noexcept { return !waiting_.empty(); }

private:
    void serve() noexcept;

    std::size_t free_;
    intrusive_list<claim> waiting_;
};

}  // namespace hearth::lane
