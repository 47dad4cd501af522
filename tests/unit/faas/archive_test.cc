#include "faas/archive/archive.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/concat.h"
#include "base/unique_fd.h"
#include "faas/function.h"
#include "tests/port/temporary_directory.h"
#include "tests/support/sockets.h"
#include "tests/unit/faas/zip_builder.h"

namespace hearth::faas {
namespace {

namespace fs = std::filesystem;
using test::make_zip;
using test::zip_entry;
using ::testing::HasSubstr;

unique_fd file_of(const std::string& bytes) {
    unique_fd file(::memfd_create("upload", MFD_CLOEXEC));
    test::write_fully(file, bytes);
    return file;
}

result<archive_summary> check(const std::string& bytes) {
    return check_archive(file_of(bytes).get());
}

class unpacking : public ::testing::Test {
protected:
    result<archive_summary> unpack(const std::string& bytes) {
        const unique_fd target(::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY));
        return unpack_archive(file_of(bytes).get(), target.get());
    }
    [[nodiscard]] std::string text_of(const std::string& name) const {
        std::ostringstream text;
        text << std::ifstream(directory_.file(name)).rdbuf();
        return text.str();
    }
    [[nodiscard]] mode_t mode_of(const std::string& name) const {
        struct stat status{};
        EXPECT_EQ(::stat(directory_.file(name).c_str(), &status), 0) << name;
        return status.st_mode & 07777;
    }
    test::temporary_directory directory_;
};

TEST_F(unpacking, makes_the_files_folders_and_modes_of_a_good_archive) {
    const auto summary = unpack(make_zip({
        {.name = "main.py", .content = "def handler(e, c): pass"},
        {.name = "pkg/", .mode = 040755},
        {.name = "pkg/__init__.py", .content = ""},
        {.name = "deep/er/data.txt", .content = std::string(100'000, 'x'), .method = 8},
        {.name = "run.sh", .content = "#!/bin/sh", .mode = 0100755},
        {.name = "setuid", .content = "x", .mode = 0104755},
    }));
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->entries, 6u);
    EXPECT_TRUE(summary->has_main);
    EXPECT_FALSE(summary->has_lambda_function);
    EXPECT_EQ(text_of("main.py"), "def handler(e, c): pass");
    EXPECT_EQ(text_of("deep/er/data.txt"), std::string(100'000, 'x'));
    EXPECT_EQ(mode_of("main.py"), 0644u);
    EXPECT_EQ(mode_of("pkg"), 0755u);
    EXPECT_EQ(mode_of("run.sh"), 0755u);
    EXPECT_EQ(mode_of("setuid"), 0755u) << "no setuid bit comes out of an archive";
}

TEST_F(unpacking, leaves_nothing_of_an_archive_whose_last_entry_has_a_bad_name) {
    const auto summary = unpack(
        make_zip({{.name = "good.py", .content = "1"}, {.name = "../../evil.py", .content = "2"}}));
    ASSERT_FALSE(summary);
    EXPECT_TRUE(fs::is_empty(directory_.path()));
    EXPECT_FALSE(fs::exists(fs::path(directory_.path()) / "../../evil.py"));
}

TEST_F(unpacking, refuses_a_path_that_is_a_file_and_a_folder) {
    const std::vector<std::vector<zip_entry>> clashes{
        {{.name = "a", .content = "1"}, {.name = "a/b", .content = "2"}},
        {{.name = "a/b", .content = "1"}, {.name = "a", .content = "2"}},
        {{.name = "a", .content = "1"}, {.name = "a/b/c", .content = "2"}},
    };
    for (const auto& each : clashes) {
        fs::remove_all(directory_.file("a"));
        const auto summary = unpack(make_zip(each));
        ASSERT_FALSE(summary);
        EXPECT_EQ(summary.error().code, errc::invalid_argument);
        EXPECT_THAT(summary.error().message, HasSubstr("is a file and a folder"));
    }
}

TEST(archive, is_read_wherever_the_file_offset_stands_and_leaves_it_there) {
    const unique_fd file = file_of(make_zip({{.name = "main.py", .content = "pass"}}));
    ASSERT_EQ(::lseek(file.get(), 7, SEEK_SET), 7);
    EXPECT_TRUE(check_archive(file.get()));
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 7);
    EXPECT_TRUE(check_archive(file.get())) << "the descriptor is still open";
}

struct refused_name {
    const char* why;
    std::string name;
};

class archive_names : public ::testing::TestWithParam<refused_name> {};

TEST_P(archive_names, that_are_not_plain_relative_paths_are_refused) {
    const auto checked = check(make_zip({{.name = GetParam().name, .content = "x"}}));
    ASSERT_FALSE(checked) << GetParam().why;
    EXPECT_EQ(checked.error().code, errc::invalid_argument) << checked.error().message;
}

std::string repeated(std::string_view part, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
        out += part;
    }
    return out;
}

INSTANTIATE_TEST_SUITE_P(
    all, archive_names,
    ::testing::Values(refused_name{"parent", "../x.py"}, refused_name{"parent inside", "a/../../x"},
                      refused_name{"parent at the end", "a/.."}, refused_name{"here", "./x.py"},
                      refused_name{"here inside", "a/./x"}, refused_name{"absolute", "/etc/passwd"},
                      refused_name{"two slashes", "a//b"}, refused_name{"only a slash", "/"},
                      refused_name{"two slashes at the end", "a//"},
                      refused_name{"backslash", "..\\x.py"}, refused_name{"drive", "C:\\x.py"},
                      refused_name{"empty", ""}, refused_name{"control character", "a\nb.py"},
                      refused_name{"escape", "\x1b[2J.py"},
                      refused_name{"not UTF-8", "\xff\xfe.py"},
                      refused_name{"overlong slash",
                                   "a\xc0\xaf..\xc0\xaf"
                                   "b"},
                      refused_name{"long name", repeated("abcdefg/", 129)},
                      refused_name{"long component", std::string(256, 'a')},
                      refused_name{"deep", repeated("a/", 32) + "b"}));

TEST(archive, names_at_the_limits_are_taken) {
    EXPECT_TRUE(check(make_zip({{.name = std::string(255, 'a')}})));
    EXPECT_TRUE(check(make_zip({{.name = repeated("a/", 31) + "b"}})));
    EXPECT_TRUE(check(make_zip({{.name = "päckage/..init..py"}})));
}

TEST(archive, links_devices_pipes_and_sockets_are_refused) {
    for (const std::uint32_t kind : {0120000u, 060000u, 020000u, 010000u, 0140000u}) {
        const auto checked =
            check(make_zip({{.name = "x", .content = "/etc/passwd", .mode = kind | 0777}}));
        ASSERT_FALSE(checked) << std::oct << kind;
        EXPECT_THAT(checked.error().message, HasSubstr("link or a special file"));
    }
}

TEST_F(unpacking, never_makes_a_link_whoever_made_the_archive) {
    // Not from Unix, the mode means nothing: the entry is a plain file with the link's text.
    ASSERT_TRUE(unpack(make_zip(
        {{.name = "x", .content = "/etc/passwd", .mode = 0120777, .system = test::made_by_dos}})));
    EXPECT_FALSE(fs::is_symlink(directory_.file("x")));
    EXPECT_EQ(text_of("x"), "/etc/passwd");
}

TEST(archive, an_encrypted_entry_is_refused) {
    const auto checked =
        check(make_zip({{.name = "x", .content = "secret-secret", .flags = test::flag_encrypted}}));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, errc::invalid_argument);
}

TEST(archive, the_same_name_twice_is_refused) {
    EXPECT_FALSE(check(make_zip({{.name = "a.py", .content = "1"}, {.name = "a.py"}})));
    EXPECT_FALSE(check(make_zip({{.name = "a/", .mode = 040755}, {.name = "a", .content = "1"}})))
        << "a folder and a file of one name";
}

TEST(archive, damaged_contents_and_lying_headers_are_refused) {
    const std::string text(5'000, 't');
    const std::vector<std::pair<const char*, std::string>> damaged{
        {"empty", ""},
        {"not a zip", "def handler(event, context): pass"},
        {"checksum", make_zip({{.name = "a", .content = text, .claimed_crc = 1}})},
        {"shorter than said", make_zip({{.name = "a", .content = text, .claimed_size = 6'000}})},
        {"longer than said",
         make_zip({{.name = "a", .content = text, .method = 8, .claimed_size = 10}})},
        {"half a directory", make_zip({{.name = "a"}, {.name = "b"}}, {.cut_directory = true})},
        {"other local name", make_zip({{.name = "a", .content = "1", .local_name = "b"}})},
        {"unknown method", make_zip({{.name = "a", .content = "1", .method = 99}})},
        {"cut", make_zip({{.name = "a", .content = text}}).substr(0, 2'000)},
        {"entries of another count", make_zip({{.name = "a"}}, {.claimed_entries = 2})},
    };
    for (const auto& [why, bytes] : damaged) {
        const auto checked = check(bytes);
        ASSERT_FALSE(checked) << why;
        EXPECT_TRUE(checked.error().code == errc::invalid_argument ||
                    checked.error().code == errc::too_large)
            << why << ": " << checked.error().message;
        EXPECT_THAT(checked.error().message, HasSubstr("zip: ")) << why;
    }
}

TEST(archive, a_directory_that_claims_a_billion_entries_costs_no_memory) {
    EXPECT_FALSE(check(make_zip({{.name = "a"}}, {.claimed_entries = 1'000'000'000})));
    rusage used{};
    ASSERT_EQ(::getrusage(RUSAGE_SELF, &used), 0);
    EXPECT_LT(used.ru_maxrss, 1 << 20) << "in KiB";
}

TEST(archive, a_bomb_is_refused_before_it_is_unpacked) {
    const auto checked =
        check(make_zip({{.name = "zeros", .content = std::string(8 << 20, '\0'), .method = 8}}));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, errc::too_large);
    EXPECT_THAT(checked.error().message, HasSubstr("200 times"));
}

TEST(archive, a_small_file_that_packs_well_is_no_bomb) {
    EXPECT_TRUE(
        check(make_zip({{.name = "zeros", .content = std::string(1 << 20, '\0'), .method = 8}})));
}

TEST(archive, more_than_the_limit_of_unpacked_bytes_is_refused_by_what_the_headers_say) {
    std::vector<zip_entry> entries;
    for (int i = 0; i < 6; ++i) {
        entries.push_back({.name = concat("part-", i),
                           .content = std::string(1 << 20, 'x'),
                           .claimed_size = 50u << 20});
    }
    const auto checked = check(make_zip(entries));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, errc::too_large);
    EXPECT_THAT(checked.error().message, HasSubstr("250 MB"));
}

TEST(archive, takes_ten_thousand_entries_and_no_more) {
    std::vector<zip_entry> entries;
    for (std::size_t i = 0; i < unpacked_entries_max; ++i) {
        entries.push_back({.name = concat("f", i)});
    }
    EXPECT_TRUE(check(make_zip(entries)));
    entries.push_back({.name = "one-more"});
    const auto checked = check(make_zip(entries));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, errc::too_large);
}

TEST(archive, folders_that_names_stand_for_count_as_entries) {
    std::vector<zip_entry> entries;
    std::string deep;
    for (int i = 0; i < 20; ++i) {
        deep += "d/";
    }
    for (std::size_t i = 0; i * 21 < unpacked_entries_max; ++i) {
        entries.push_back({.name = concat("top", i, "/", deep, "f")});
    }
    const auto checked = check(make_zip(entries));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, errc::too_large);
    EXPECT_THAT(checked.error().message, HasSubstr("files and folders"));
    entries.resize(entries.size() / 2);
    EXPECT_TRUE(check(make_zip(entries)));
}

TEST(archive, without_a_file_is_refused) {
    for (const auto& bytes : {make_zip({}), make_zip({{.name = "folder/", .mode = 040755}})}) {
        const auto checked = check(bytes);
        ASSERT_FALSE(checked);
        EXPECT_EQ(checked.error().code, errc::invalid_argument);
        EXPECT_THAT(checked.error().message, HasSubstr("contains no file"));
    }
}

}  // namespace
}  // namespace hearth::faas
