#include "base/env_file.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>

#include <gtest/gtest.h>

#include "base/concat.h"
#include "tests/port/temporary_directory.h"

namespace hearth {
namespace {

// The value of A in a file of this one line; fails when the line is refused.
std::string value_of(std::string_view line) {
    const auto file = parse_env_file(line);
    EXPECT_TRUE(file.problems.empty()) << line << ": " << file.problems.front();
    const auto* entry = file.find("A");
    EXPECT_NE(entry, nullptr) << line;
    return entry == nullptr ? "" : entry->value;
}

// The one problem of a text.
std::string problem_of(std::string_view text) {
    const auto file = parse_env_file(text);
    EXPECT_EQ(file.problems.size(), 1U) << text;
    return file.problems.empty() ? "" : file.problems.front();
}

// What bash has in A after sourcing a file, or "refused".
std::string bash_value_of(const test::temporary_directory& folder, std::string_view line) {
    const auto path = folder.file("env");
    std::ofstream(path) << line << '\n';
    const auto command =
        concat("env -i HOME=/nowhere bash --norc -c 'set -e; . ", path, "; printf %s \"$A\"' 2>&1");
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    std::string output;
    std::array<char, 256> buffer;
    while (const auto count = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
        output.append(buffer.data(), count);
    }
    return output;
}

TEST(env_file, a_value_stands_behind_its_name) {
    EXPECT_EQ(value_of("A=b"), "b");
    EXPECT_EQ(value_of("A="), "");
    EXPECT_EQ(value_of("A=b=c"), "b=c");
    EXPECT_EQ(value_of("  export  A=b  "), "b");
    EXPECT_EQ(value_of("A=https://host:1/path#fragment"), "https://host:1/path#fragment");
}

TEST(env_file, quotes_keep_blanks_and_what_a_shell_would_take_for_itself) {
    EXPECT_EQ(value_of("A='b c $d \"e\" \\f'"), "b c $d \"e\" \\f");
    EXPECT_EQ(value_of(R"(A="b 'c' \"d\" \\ \$e \`f")"), "b 'c' \"d\" \\ $e `f");
    EXPECT_EQ(value_of("A=\"\""), "");
}

TEST(env_file, comments_and_empty_lines_are_no_settings) {
    const auto file = parse_env_file("# A=1\n\n  # B=2\nC=3 # three\nD='4' # four\n");
    EXPECT_TRUE(file.problems.empty());
    ASSERT_EQ(file.entries.size(), 2U);
    EXPECT_EQ(file.find("C")->value, "3");
    EXPECT_EQ(file.find("D")->value, "4");
    EXPECT_EQ(file.find("D")->line, 5U);
}

TEST(env_file, lines_may_end_as_on_windows_and_the_text_begin_with_its_mark) {
    const auto file = parse_env_file(
        "\xef\xbb\xbf"
        "A=1\r\nB=2\r\n");
    EXPECT_TRUE(file.problems.empty());
    EXPECT_EQ(file.find("A")->value, "1");
    EXPECT_EQ(file.find("B")->value, "2");
}

TEST(env_file, whatever_is_accepted_means_the_same_to_bash) {
    const test::temporary_directory folder;
    for (const std::string_view line : {
             "A=b",          "A=",
             "A= # c",       "A=#b",
             "A=b#c",        "A=b # c",
             "A=b\t# c",     "export A=b",
             "A=b=c",        "A=%{x,y}*?[z]!@^+,-.",
             "A=a~b",        "A=b=~",
             "A=''",         "A='b  c'",
             "A='$b \\ \"'", R"(A="b\"c")",
             R"(A="b\\c")",  R"(A="b\$c")",
             R"(A="b\`c")",  "A=\"b # c\"",
             "A=\"!b\"",     "A='b'\t",
             "A=\xc3\xa4",   "A=http://u@h:1/p?q=r",
         }) {
        EXPECT_EQ(value_of(line), bash_value_of(folder, line)) << line;
    }
}

TEST(env_file, what_a_shell_would_read_otherwise_is_refused) {
    for (const std::string_view line : {
             "A=b c",     "A=$HOME",   "A=`id`", "A=b;c",   "A=b&c",   "A=b|c",    "A=<b",
             "A=(b)",     "A=b\\c",    "A=~",    "A=x:~",   "A=b'c'",  "A=b\"c\"", "A=\"$b\"",
             "A=\"`b`\"", "A=\"\\n\"", "A='b'c", "A='b'#c", "A =b",    "A= b",     "A",
             "1A=b",      "A-B=c",     "=b",     "export",  "A=\"b\\",
         }) {
        EXPECT_TRUE(problem_of(line).starts_with("line 1: ")) << line;
    }
}

TEST(env_file, an_unclosed_quote_ends_on_its_line) {
    const auto file = parse_env_file("A='b\nB=2\nC=\"d\n");
    EXPECT_EQ(file.problems.size(), 2U);
    EXPECT_TRUE(file.problems[0].starts_with("line 1: A: the quote ' is not closed"));
    EXPECT_TRUE(file.problems[1].starts_with("line 3: C: the quote \" is not closed"));
    EXPECT_EQ(file.find("B")->value, "2");
}

TEST(env_file, a_name_that_comes_twice_is_told_with_both_lines) {
    EXPECT_EQ(problem_of("A=1\nB=2\nA=3\n"),
              "line 3: A is set in line 1 already; remove one of them");
}

TEST(env_file, bytes_that_are_no_text_are_refused) {
    EXPECT_EQ(problem_of("A=\xff"), "line 1: is not UTF-8");
    EXPECT_EQ(problem_of("A=b\x01"), "line 1: has a control character; remove it");
    EXPECT_EQ(problem_of(std::string_view("A=b\0c", 5)),
              "line 1: has a control character; remove it");
    EXPECT_EQ(problem_of("A=b\rB=c"), "line 1: has a control character; remove it");
}

TEST(env_file, no_problem_shows_a_value) {
    EXPECT_FALSE(problem_of("A=pass word").contains("pass"));
    EXPECT_FALSE(problem_of("A='password").contains("password"));
}

TEST(env_file, a_file_of_the_largest_size_is_read_and_one_byte_more_is_not) {
    const auto largest = "A=" + std::string(env_file_bytes_max - 2, 'b');
    EXPECT_EQ(value_of(largest).size(), env_file_bytes_max - 2);
    EXPECT_TRUE(problem_of(largest + "b").contains("at most"));
}

TEST(env_file, problems_beyond_the_limit_are_summed_up) {
    std::string text;
    for (std::size_t i = 0; i < env_file_problems_max + 5; ++i) {
        text += "nonsense\n";
    }
    const auto file = parse_env_file(text);
    ASSERT_EQ(file.problems.size(), env_file_problems_max + 1);
    EXPECT_TRUE(file.problems.back().contains("too many problems"));
}

}  // namespace
}  // namespace hearth
