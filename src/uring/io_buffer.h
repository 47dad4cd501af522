#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace hearth::uring {

// Received bytes, either lent by a ring's buffer pool or in memory of their own. Move-only; a lent
// buffer goes back when this dies, so holders are brief and stay on the ring's thread.
class io_buffer {
public:
    // Takes a pool's buffer back. The pool outlives its buffers.
    class owner {
    public:
        virtual void give_back(std::uint16_t buffer_id) noexcept = 0;

    protected:
        ~owner() = default;
    };

    io_buffer() noexcept = default;
    io_buffer(owner& pool, std::uint16_t buffer_id, std::span<const std::byte> bytes) noexcept
        : bytes_(bytes), pool_(&pool), buffer_id_(buffer_id) {}
    // A copy in memory of its own.
    [[nodiscard]] static io_buffer copy_of(std::span<const std::byte> bytes) {
        io_buffer copy;
        copy.heap_ = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
        std::memcpy(copy.heap_.get(), bytes.data(), bytes.size());
        copy.bytes_ = {copy.heap_.get(), bytes.size()};
        return copy;
    }

    io_buffer(io_buffer&& other) noexcept
        : bytes_(std::exchange(other.bytes_, {})),
          pool_(std::exchange(other.pool_, nullptr)),
          heap_(std::move(other.heap_)),
          buffer_id_(other.buffer_id_) {}
    io_buffer& operator=(io_buffer&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        std::swap(pool_, other.pool_);
        std::swap(heap_, other.heap_);
        std::swap(buffer_id_, other.buffer_id_);
        return *this;
    }
    io_buffer(const io_buffer&) = delete;
    io_buffer& operator=(const io_buffer&) = delete;
    ~io_buffer() {
        if (pool_ != nullptr) {
            pool_->give_back(buffer_id_);
        }
    }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
    }
    [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    void remove_prefix(std::size_t count) noexcept { bytes_ = bytes_.subspan(count); }

private:
    std::span<const std::byte> bytes_;
    owner* pool_ = nullptr;
    std::unique_ptr<std::byte[]> heap_;
    std::uint16_t buffer_id_ = 0;
};

}  // namespace hearth::uring
