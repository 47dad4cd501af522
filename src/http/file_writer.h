#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"

namespace hearth::http {

// Writes a stream of small pieces to a file without blocking the event loop: pieces are gathered
// into blocks of 256 KiB, and each block is one visit to the thread pool. An object is for one file
// and for one coroutine; it must not die while write() or finish() is awaited.
class file_writer {
public:
    static constexpr std::size_t block_bytes = 256u << 10;

    // Sees every block in order, on a pool thread: for hashing on the way.
    using block_hook = std::function<void(std::span<const std::byte>)>;

    // `descriptor` and `pool` outlive this. Writing begins at offset 0.
    file_writer(int descriptor, thread_pool& pool, block_hook on_block = {})
        : descriptor_(descriptor), pool_(pool), on_block_(std::move(on_block)) {}
    file_writer(const file_writer&) = delete;
    file_writer& operator=(const file_writer&) = delete;

    // errc::io with the errno (no space left, for example); errc::limit_exceeded when the pool's
    // queue is full. The file is then incomplete.
    task<result<>> write(std::span<const std::byte> piece);
    // Writes what is still held.
    task<result<>> finish();

    // Bytes taken so far.
    [[nodiscard]] std::uint64_t size() const noexcept { return written_ + block_.size(); }

private:
    int descriptor_;
    thread_pool& pool_;
    block_hook on_block_;
    std::vector<std::byte> block_;
    std::uint64_t written_ = 0;
};

}  // namespace hearth::http
