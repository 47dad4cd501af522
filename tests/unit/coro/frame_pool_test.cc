#include "coro/frame_pool.h"

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "coro/yield.h"
#include "tests/support/test_executor.h"

namespace hearth {
namespace {

using test::test_executor;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool pooled = false;
#else
constexpr bool pooled = true;
#endif
#else
constexpr bool pooled = true;
#endif

task<int> nested(int depth) {
    co_await yield();
    co_return depth == 0 ? 0 : 1 + co_await nested(depth - 1);
}

TEST(frame_pool, no_frame_is_left_when_the_tasks_are_over) {
    test_executor loop;
    const auto before = this_thread_frames();
    EXPECT_EQ(loop.run(nested(50)), 50);
    const auto during = this_thread_frames();
    EXPECT_EQ(during.live, before.live);
    EXPECT_GT(during.allocations, before.allocations + 50);
}

TEST(frame_pool, frames_are_used_again_without_the_heap) {
    if (!pooled) {
        GTEST_SKIP() << "sanitizer builds use the heap so that they see a use after free";
    }
    test_executor loop;
    EXPECT_EQ(loop.run(nested(50)), 50);
    const auto before = this_thread_frames();
    EXPECT_EQ(loop.run(nested(50)), 50);
    EXPECT_EQ(this_thread_frames().heap_calls, before.heap_calls);
}

TEST(frame_pool, memory_of_every_size_is_aligned_and_does_not_overlap) {
    std::vector<std::pair<void*, std::size_t>> frames;
    for (std::size_t size = 1; size < 6000; size += 37) {
        void* frame = allocate_frame(size);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame) % 16, 0U);
        std::memset(frame, static_cast<int>(size % 251), size);
        frames.emplace_back(frame, size);
    }
    for (const auto& [frame, size] : frames) {
        const auto* bytes = static_cast<const unsigned char*>(frame);
        EXPECT_EQ(bytes[0], size % 251);
        EXPECT_EQ(bytes[size - 1], size % 251);
        free_frame(frame, size);
    }
}

TEST(frame_pool, each_thread_counts_its_own) {
    void* mine = allocate_frame(100);
    std::thread([] { EXPECT_EQ(this_thread_frames().live, 0U); }).join();
    free_frame(mine, 100);
}

}  // namespace
}  // namespace hearth
