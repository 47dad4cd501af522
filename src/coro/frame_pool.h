#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth {

// Memory of coroutine frames: per-thread free lists in steps of 64 bytes up to 8 KiB (a page to
// receive into, and what stands beside it), larger frames from the heap. A frame is freed by the
// thread that made it. Sanitizer builds use the heap throughout, so that a use after free is seen.
[[nodiscard]] void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size) noexcept;

struct frame_statistics {
    std::uint64_t live = 0;         // frames alive in this thread
    std::uint64_t allocations = 0;  // frames ever made
    std::uint64_t heap_calls = 0;   // of these, how many needed the heap
};
[[nodiscard]] frame_statistics this_thread_frames() noexcept;

}  // namespace hearth
