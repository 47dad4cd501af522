#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "uring/io_buffer.h"
#include "uring/kernel.h"

namespace hearth::uring {

// The buffers that the kernel receives into: one ring of equal buffers per event loop, lent out
// with the data and given back when it has been read. Idle connections hold none. Ring thread only.
class buffer_pool final : public io_buffer::owner {
public:
    static constexpr std::uint16_t group = 1;

    [[nodiscard]] static result<std::unique_ptr<buffer_pool>> create(io_uring& kernel,
                                                                     unsigned count,
                                                                     unsigned bytes_each);
    ~buffer_pool();

    // The buffer that a completion with IORING_CQE_F_BUFFER names. When the pool runs low the bytes
    // are copied out (`*copied` is set), so that slow readers cannot starve the others: a buffer is
    // free again whenever completions have been collected.
    [[nodiscard]] io_buffer take(std::uint32_t completion_flags, std::size_t size, bool* copied);

    void give_back(std::uint16_t buffer_id) noexcept override;

    [[nodiscard]] unsigned available() const noexcept { return available_; }

private:
    buffer_pool(io_uring& kernel, unsigned count, unsigned bytes_each) noexcept
        : kernel_(kernel), count_(count), bytes_each_(bytes_each) {}
    [[nodiscard]] std::byte* buffer(std::uint16_t id) const noexcept {
        return memory_.get() + static_cast<std::size_t>(id) * bytes_each_;
    }

    io_uring& kernel_;
    unsigned count_;
    unsigned bytes_each_;
    unsigned available_ = 0;
    io_uring_buf_ring* shared_ = nullptr;
    bool registered_ = false;
    std::unique_ptr<std::byte[]> memory_;
};

}  // namespace hearth::uring
