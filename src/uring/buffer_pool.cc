#include "uring/buffer_pool.h"

#include <sys/mman.h>

#include "base/check.h"

namespace hearth::uring {

result<std::unique_ptr<buffer_pool>> buffer_pool::create(io_uring& kernel, unsigned count,
                                                         unsigned bytes_each) {
    std::unique_ptr<buffer_pool> pool(new buffer_pool(kernel, count, bytes_each));
    void* shared = ::mmap(nullptr, count * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
                          MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (shared == MAP_FAILED) {
        return fail_errno("mmap of the buffer ring");
    }
    pool->shared_ = static_cast<io_uring_buf_ring*>(shared);
    // Zeroed, so that its pages are there before the first burst and memory use does not creep.
    pool->memory_ = std::make_unique<std::byte[]>(static_cast<std::size_t>(count) * bytes_each);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uint64_t>(shared);
    registration.ring_entries = count;
    registration.bgid = group;
    if (const int status = io_uring_register_buf_ring(&kernel, &registration, 0); status < 0) {
        return fail_errno("io_uring buffer ring (Linux 5.19 or newer is needed)", -status);
    }
    pool->registered_ = true;
    io_uring_buf_ring_init(pool->shared_);
    for (unsigned id = 0; id < count; ++id) {
        pool->give_back(static_cast<std::uint16_t>(id));
    }
    return pool;
}

buffer_pool::~buffer_pool() {
    if (registered_) {
        HEARTH_CHECK(available_ == count_, "a buffer outlives its ring");
        io_uring_unregister_buf_ring(&kernel_, group);
    }
    if (shared_ != nullptr) {
        ::munmap(shared_, count_ * sizeof(io_uring_buf));
    }
}

io_buffer buffer_pool::take(std::uint32_t completion_flags, std::size_t size, bool* copied) {
    const auto id = static_cast<std::uint16_t>(completion_flags >> IORING_CQE_BUFFER_SHIFT);
    HEARTH_CHECK(id < count_ && size <= bytes_each_, "the kernel named a buffer that is not ours");
    --available_;
    io_buffer lent(*this, id, {buffer(id), size});
    *copied = available_ < count_ / 4;
    return *copied ? io_buffer::copy_of(lent.bytes()) : std::move(lent);
}

void buffer_pool::give_back(std::uint16_t buffer_id) noexcept {
    io_uring_buf_ring_add(shared_, buffer(buffer_id), bytes_each_, buffer_id,
                          io_uring_buf_ring_mask(count_), 0);
    io_uring_buf_ring_advance(shared_, 1);
    ++available_;
}

}  // namespace hearth::uring
