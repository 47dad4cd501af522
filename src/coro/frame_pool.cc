#include "coro/frame_pool.h"

#include <array>
#include <new>

namespace hearth {
namespace {

constexpr std::size_t step = 64;
constexpr std::size_t pooled_bytes_max = 8192;
constexpr std::size_t bin_count = pooled_bytes_max / step + 1;

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
constexpr bool pooled = false;
#else
constexpr bool pooled = true;
#endif

struct free_frame_node {
    free_frame_node* next;
};

struct frame_pool {
    std::array<free_frame_node*, bin_count> bins{};
    frame_statistics statistics;

    ~frame_pool() {
        for (free_frame_node* node : bins) {
            while (node != nullptr) {
                free_frame_node* next = node->next;
                ::operator delete(node);
                node = next;
            }
        }
    }
};
thread_local frame_pool pool;

}  // namespace

void* allocate_frame(std::size_t size) {
    ++pool.statistics.live;
    ++pool.statistics.allocations;
    const std::size_t bin = (size + step - 1) / step;
    if (pooled && bin < bin_count) {
        if (free_frame_node* node = pool.bins[bin]) {
            pool.bins[bin] = node->next;
            return node;
        }
        ++pool.statistics.heap_calls;
        return ::operator new(bin * step);
    }
    ++pool.statistics.heap_calls;
    return ::operator new(size);
}

void free_frame(void* frame, std::size_t size) noexcept {
    --pool.statistics.live;
    const std::size_t bin = (size + step - 1) / step;
    if (pooled && bin < bin_count) {
        pool.bins[bin] = new (frame) free_frame_node{pool.bins[bin]};
    } else {
        ::operator delete(frame);
    }
}

frame_statistics this_thread_frames() noexcept {
    return pool.statistics;
}

}  // namespace hearth
