#include "base/ids.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

namespace hearth {
namespace {

TEST(ids, a_uuid_tells_when_it_was_made) {
    const auto before = wall_clock_ms();
    const auto made = time_of_uuid(make_uuid());
    ASSERT_TRUE(made);
    EXPECT_GE(*made, before);
    EXPECT_LE(*made, wall_clock_ms());
    EXPECT_FALSE(time_of_uuid(""));
    EXPECT_FALSE(time_of_uuid("0190c0de-0000-4000-8000-000000000000"));  // version 4
    EXPECT_FALSE(time_of_uuid("0190c0de+0000-7000-8000-000000000000"));
    EXPECT_FALSE(time_of_uuid("0190C0DE-0000-7000-8000-000000000000"));
}

TEST(ids, a_uuid_has_the_form_of_version_7) {
    const std::string id = make_uuid();
    ASSERT_EQ(id.size(), 36U);
    for (std::size_t i = 0; i < id.size(); ++i) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            EXPECT_EQ(id[i], '-');
        } else {
            EXPECT_NE(std::string_view("0123456789abcdef").find(id[i]), std::string_view::npos);
        }
    }
    EXPECT_EQ(id[14], '7');
    EXPECT_NE(std::string_view("89ab").find(id[19]), std::string_view::npos);
    EXPECT_TRUE(is_well_formed_id(id));
}

TEST(ids, uuids_are_distinct_and_sort_by_the_time_they_were_made) {
    std::vector<std::string> ids;
    ids.reserve(20'000);
    const epoch_ms start = wall_clock_ms();
    for (int i = 0; i < 20'000; ++i) {
        ids.push_back(make_uuid());
    }
    const auto made_at = [](const std::string& id) {
        return std::stoll(id.substr(0, 8) + id.substr(9, 4), nullptr, 16);
    };
    EXPECT_GE(made_at(ids.front()), start);
    EXPECT_LE(made_at(ids.back()), wall_clock_ms());
    EXPECT_TRUE(std::ranges::is_sorted(ids, {}, made_at));
    EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), ids.size());
}

TEST(ids, threads_do_not_share_random_bytes) {
    std::array<std::uint64_t, 8> values{};
    std::vector<std::jthread> threads;
    threads.reserve(values.size());
    for (auto& each : values) {
        threads.emplace_back([&each] { each = random_u64(); });
    }
    threads.clear();
    EXPECT_EQ(std::set(values.begin(), values.end()).size(), values.size());
}

TEST(ids, a_forked_child_makes_other_identifiers_than_its_parent) {
    std::ignore = random_u64();  // the pool is filled before the fork
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const std::uint64_t theirs = random_u64();
        ::_exit(::write(pipe[1], &theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
    }
    const std::uint64_t ours = random_u64();
    std::uint64_t theirs = 0;
    ASSERT_EQ(::read(pipe[0], &theirs, sizeof theirs), static_cast<ssize_t>(sizeof theirs));
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(pipe[0]);
    ::close(pipe[1]);
    EXPECT_NE(ours, theirs);
}

TEST(ids, random_bytes_fill_spans_of_every_size) {
    for (const std::size_t size : {0U, 1U, 255U, 256U, 257U, 1024U, 5000U}) {
        std::vector<std::byte> bytes(size + 1, std::byte{0x5a});
        random_bytes(std::span(bytes).first(size));
        EXPECT_EQ(bytes.back(), std::byte{0x5a});
        if (size >= 16) {
            EXPECT_FALSE(std::ranges::all_of(std::span(bytes).first(size),
                                             [&](std::byte b) { return b == bytes.front(); }));
        }
    }
}

TEST(ids, callers_may_send_short_plain_identifiers_only) {
    for (const char* good : {"a", "A-Z_0.9", "018f3c1e-0000-7000-8000-000000000000"}) {
        EXPECT_TRUE(is_well_formed_id(good)) << good;
    }
    EXPECT_TRUE(is_well_formed_id(std::string(64, 'x')));
    EXPECT_FALSE(is_well_formed_id(std::string(65, 'x')));
    using namespace std::string_view_literals;
    for (const auto bad :
         {""sv, " "sv, "a b"sv, "a/b"sv, "a\n"sv, "a\0"sv, "\xc3\xa9"sv, "a\""sv}) {
        EXPECT_FALSE(is_well_formed_id(bad)) << bad;
    }
}

TEST(ids, to_hex_is_lower_case_with_two_digits_a_byte) {
    EXPECT_EQ(to_hex({}), "");
    EXPECT_EQ(to_hex(std::array{std::byte{0}, std::byte{0x0a}, std::byte{0xff}}), "000aff");
}

}  // namespace
}  // namespace hearth
