#include "uring/io_buffer.h"

#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace hearth::uring {
namespace {

class recording_pool final : public io_buffer::owner {
public:
    void give_back(std::uint16_t buffer_id) noexcept override { returned.push_back(buffer_id); }
    std::vector<int> returned;
};

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

TEST(io_buffer, goes_back_to_its_pool_once_however_often_it_was_moved) {
    recording_pool pool;
    {
        io_buffer first(pool, 3, bytes_of("abc"));
        io_buffer second = std::move(first);
        io_buffer third;
        third = std::move(second);
        EXPECT_EQ(third.text(), "abc");
        EXPECT_TRUE(pool.returned.empty());
    }
    EXPECT_EQ(pool.returned, (std::vector{3}));
}

TEST(io_buffer, assigning_over_a_lent_buffer_loses_neither) {
    recording_pool pool;
    {
        io_buffer one(pool, 1, bytes_of("one"));
        one = io_buffer(pool, 2, bytes_of("two"));
        EXPECT_EQ(one.text(), "two");
        EXPECT_EQ(pool.returned, (std::vector{1}));
    }
    EXPECT_EQ(pool.returned, (std::vector{1, 2}));
}

TEST(io_buffer, a_copy_has_memory_of_its_own) {
    std::string source = "copied";
    io_buffer copy = io_buffer::copy_of(bytes_of(source));
    source = "gone  ";
    EXPECT_EQ(copy.text(), "copied");
    copy.remove_prefix(3);
    EXPECT_EQ(copy.text(), "ied");
    EXPECT_EQ(copy.size(), 3U);
    const io_buffer moved = std::move(copy);
    EXPECT_EQ(moved.text(), "ied");
}

TEST(io_buffer, made_empty_it_is_the_end_of_a_stream) {
    const io_buffer none;
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(none.text(), "");
}

}  // namespace
}  // namespace hearth::uring
