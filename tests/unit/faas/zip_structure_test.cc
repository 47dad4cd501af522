#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"
#include "faas/archive/archive.h"
#include "faas/function.h"
#include "tests/support/sockets.h"
#include "tests/unit/faas/zip_builder.h"

// Archives whose parts contradict each other. Each starts as a good one and is then made to lie.

namespace hearth::faas {
namespace {

using test::make_zip;
using test::zip_entry;
using ::testing::HasSubstr;

result<archive_summary> check(const std::string& bytes) {
    const unique_fd file(::memfd_create("upload", MFD_CLOEXEC));
    test::write_fully(file, bytes);
    return check_archive(file.get());
}

void refuses(const std::string& bytes, const char* word, errc code = errc::invalid_argument) {
    const auto checked = check(bytes);
    ASSERT_FALSE(checked) << word;
    EXPECT_EQ(checked.error().code, code) << checked.error().message;
    EXPECT_THAT(checked.error().message, HasSubstr(word));
}

// `bytes` with a little-endian number at `at`.
std::string with(std::string bytes, std::size_t at, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        bytes.at(at + i) = static_cast<char>(value >> (8 * i) & 0xff);
    }
    return bytes;
}

constexpr std::size_t local_flags = 6;
constexpr std::size_t local_method = 8;
constexpr std::size_t local_crc = 14;
constexpr std::size_t local_packed = 18;
constexpr std::size_t record_flags = 8;
constexpr std::size_t record_packed = 20;
constexpr std::size_t record_offset = 42;
constexpr std::size_t end_directory_bytes = 12;
constexpr std::size_t end_directory_offset = 16;
constexpr std::size_t end_comment = 20;

struct parts {
    std::string bytes = make_zip({{.name = "main.py", .content = "pass"},
                                  {.name = "data.txt", .content = std::string(200, 'd')}});
    std::size_t second_local = bytes.find("PK\3\4", 1);
    std::size_t first_record = bytes.find("PK\1\2");
    std::size_t second_record = bytes.find("PK\1\2", first_record + 1);
    std::size_t end = bytes.find("PK\5\6");
};

TEST(zip_structure, the_good_one_is_taken) {
    EXPECT_TRUE(check(parts().bytes));
}

TEST(zip_structure, bytes_before_or_behind_the_archive_are_refused) {
    const parts good;
    refuses(good.bytes + "x", "bytes follow its end");
    refuses(good.bytes + good.bytes.substr(0, 100), "bytes follow its end");
    refuses("#!/bin/sh\n" + good.bytes, "not where its end says");
    refuses(good.bytes.substr(0, good.end) + "x" + good.bytes.substr(good.end),
            "not where its end says");
}

TEST(zip_structure, a_comment_is_taken_unless_it_is_another_end) {
    const parts good;
    EXPECT_TRUE(check(with(good.bytes, good.end + end_comment, 5, 2) + "hello"));
    const std::string other_end = good.bytes.substr(good.end);
    refuses(with(good.bytes, good.end + end_comment, other_end.size(), 2) + other_end,
            "two archives");
}

TEST(zip_structure, an_archive_of_several_parts_is_refused) {
    const parts good;
    refuses(with(good.bytes, good.end + 4, 1, 2), "one part of several");
    refuses(with(good.bytes, good.end + 8, 1, 2), "one part of several");
    refuses(with(good.bytes, good.first_record + 34, 1, 2), "damaged record");
}

TEST(zip_structure, entries_that_share_bytes_are_refused) {
    const parts good;
    refuses(with(good.bytes, good.second_record + record_offset, 0, 4), "shares bytes");
    // The second begins within the contents of the first.
    const std::string inner = make_zip({{.name = "inner.py", .content = "1"}});
    const std::string nested =
        make_zip({{.name = "outer.py", .content = inner}, {.name = "inner.py", .content = "1"}});
    const std::size_t inside = nested.find("PK\3\4", 1);
    const std::size_t record = nested.find("PK\1\2", nested.find("PK\3\4", inside + 1));
    const std::size_t second = nested.find("PK\1\2", record + 1);
    refuses(with(nested, second + record_offset, inside, 4), "shares bytes");
}

TEST(zip_structure, headers_that_disagree_are_refused) {
    const parts good;
    const std::size_t at = good.second_local;
    refuses(with(good.bytes, at + local_flags, 1, 2), "disagree");
    refuses(with(good.bytes, at + local_flags, 1u << 3, 2), "disagree");
    refuses(with(good.bytes, at + local_method, 8, 2), "disagree");
    refuses(with(good.bytes, at + local_crc, 7, 4), "disagree");
    refuses(with(good.bytes, at + local_packed, 7, 4), "disagree");
    refuses(with(good.bytes, at + local_packed + 4, 7, 4), "disagree");
    refuses(with(good.bytes, at + 30, 'x', 1), "disagree");
}

TEST(zip_structure, sizes_that_follow_the_contents_may_be_missing_in_the_local_header_alone) {
    const parts good;
    std::string streamed = with(good.bytes, good.second_local + local_flags, 1u << 3, 2);
    streamed = with(streamed, good.second_record + record_flags, 1u << 3, 2);
    EXPECT_TRUE(check(streamed));
    for (const std::size_t field : {local_crc, local_packed, local_packed + 4}) {
        streamed = with(streamed, good.second_local + field, 0, 4);
    }
    EXPECT_TRUE(check(streamed));
    refuses(with(streamed, good.second_local + local_packed, 7, 4), "disagree");
}

TEST(zip_structure, entries_outside_of_the_archive_are_refused) {
    const parts good;
    refuses(with(good.bytes, good.second_record + record_offset, 0xffff'fff0, 4), "outside");
    refuses(with(good.bytes, good.second_record + record_offset, good.first_record, 4), "outside");
    refuses(with(good.bytes, good.second_record + record_offset, good.second_local + 1, 4),
            "outside");
    refuses(with(good.bytes, good.second_record + record_packed, 0x7fff'ffff, 4), "outside");
}

TEST(zip_structure, a_directory_of_other_size_or_place_is_refused) {
    const parts good;
    refuses(with(good.bytes, good.end + end_directory_bytes, 46, 4), "not where its end says");
    refuses(with(good.bytes, good.end + end_directory_offset, 0, 4), "not where its end says");
    refuses(with(with(good.bytes, good.end + 8, 1, 2), good.end + 10, 1, 2), "more entries");
    refuses(with(with(good.bytes, good.end + 8, 3, 2), good.end + 10, 3, 2), "fewer entries");
    refuses(with(good.bytes, good.first_record + 28, 0xffff, 2), "leaves it");
}

TEST(zip_structure, zip64_is_taken_when_it_says_the_same_and_refused_when_it_lies) {
    const std::vector<zip_entry> entries{{.name = "main.py", .content = "pass"}};
    const std::string good = make_zip(entries, {.claimed_entries = 1});
    EXPECT_TRUE(check(good));
    const std::size_t record = good.find("PK\6\6");
    const std::size_t locator = good.find("PK\6\7");
    const std::size_t end = good.find("PK\5\6");
    refuses(with(good, record + 40, 7, 8), "not where its end says");
    refuses(with(good, record + 48, 7, 8), "not where its end says");
    refuses(with(good, record + 24, 2, 8), "disagree");
    refuses(with(good, record + 4, 45, 8), "disagree");
    refuses(with(good, record + 16, 1, 4), "disagree");
    refuses(with(good, locator + 8, 0, 8), "disagree");
    refuses(with(good, locator + 8, ~0ULL, 8), "disagree");
    refuses(with(good, locator + 16, 9, 4), "disagree");
    refuses(with(good, end + end_directory_offset, 7, 4), "disagree");
    refuses(with(with(good, end + 8, 5, 2), end + 10, 5, 2), "disagree");
    refuses(with(with(good, record + 24, ~0ULL, 8), record + 32, ~0ULL, 8), "entries",
            errc::too_large);
}

TEST(zip_structure, a_zip64_size_without_its_field_is_refused) {
    const parts good;
    refuses(with(good.bytes, good.first_record + record_packed, 0xffff'ffff, 4), "damaged record");
}

TEST(zip_structure, a_million_entries_are_refused_by_their_number_alone) {
    constexpr std::size_t million = 1'000'000;
    std::string bytes;
    bytes.resize(million * 47, 'x');
    const std::string good = make_zip({{.name = "a"}}, {.claimed_entries = million});
    const std::size_t record = good.find("PK\6\6");
    std::string tail = good.substr(record);
    tail = with(tail, 40, bytes.size(), 8);  // all of the directory
    tail = with(tail, 48, 0, 8);
    tail = with(tail, 56 + 8, bytes.size(), 8);
    refuses(bytes + tail, "1000000 entries", errc::too_large);
}

TEST(zip_structure, more_than_an_upload_may_have_is_refused_unread) {
    const unique_fd file(::memfd_create("upload", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file.get(), code_bytes_max + 1), 0);
    const auto checked = check_archive(file.get());
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, errc::too_large);
}

TEST(zip_structure, contents_end_exactly_where_their_header_says) {
    const std::string good =
        make_zip({{.name = "main.py", .content = std::string(500, 'p'), .method = 8}});
    const std::size_t record = good.find("PK\1\2");
    const auto packed = static_cast<std::uint8_t>(good[record + record_packed]);
    // One byte more in front of the directory, counted as the entry's.
    std::string longer = good.substr(0, record) + '\0' + good.substr(record);
    for (const std::size_t at : {local_packed, record + 1 + record_packed}) {
        longer = with(longer, at, packed + 1U, 4);
    }
    longer = with(longer, longer.size() - 22 + end_directory_offset, record + 1, 4);
    refuses(longer, "bytes behind its end");
}

TEST(zip_structure, many_small_bombs_are_one) {
    std::vector<zip_entry> entries;
    for (int i = 0; i < 20; ++i) {
        entries.push_back(
            {.name = concat("z", i), .content = std::string(1 << 20, '\0'), .method = 8});
    }
    refuses(make_zip(entries), "200 times", errc::too_large);
}

TEST(zip_structure, an_archive_in_an_archive_is_a_file_like_any_other) {
    std::string inner =
        make_zip({{.name = "zeros", .content = std::string(1 << 20, '\0'), .method = 8}});
    for (int depth = 0; depth < 6; ++depth) {
        inner = make_zip({{.name = concat(depth, ".zip"), .content = inner}});
    }
    const auto checked = check(make_zip({{.name = "x.zip", .content = inner}}));
    ASSERT_TRUE(checked) << checked.error().message;
    EXPECT_EQ(checked->unpacked_bytes, inner.size());
}

TEST(zip_names, that_many_systems_take_for_one_are_refused) {
    const std::vector<std::vector<const char*>> clashes{
        {"Main.py", "main.py"},
        {"Pkg/a.py", "pkg/b.py"},
        {"stra\xc3\x9f"
         "e.py",
         "STRASSE.py"},
        {"caf\xc3\xa9.py", "cafe\xcc\x81.py"},                           // one character, or two
        {"\xc3\x84/x.py", "a\xcc\x88/y.py"},                             // and another case
        {"\xce\xa3.py", "\xcf\x82.py"},                                  // sigma, final sigma
        {"\xed\x95\x9c.py", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab.py"},  // Hangul
    };
    for (const auto& names : clashes) {
        refuses(make_zip({{.name = names[0], .content = "1"}, {.name = names[1], .content = "2"}}),
                "differ in case or Unicode form");
    }
    EXPECT_TRUE(check(make_zip({{.name = "a/x.py", .content = "1"},
                                {.name = "a/y.py", .content = "2"},
                                {.name = "b/x.py", .content = "3"},
                                {.name = "caf\xc3\xa9.py", .content = "4"},
                                {.name = "cafe.py", .content = "5"}})));
}

TEST(zip_names, a_folder_may_be_named_before_or_after_what_is_in_it_and_once) {
    EXPECT_TRUE(
        check(make_zip({{.name = "a/b.py", .content = "1"}, {.name = "a/", .mode = 040755}})));
    refuses(make_zip({{.name = "a/", .mode = 040755},
                      {.name = "a/b.py", .content = "1"},
                      {.name = "a/", .mode = 040755}}),
            "twice");
}

}  // namespace
}  // namespace hearth::faas
