#include "base/log.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/json.h"
#include "base/unique_fd.h"

namespace hearth {
namespace {

// Catches what is logged in a temporary file.
class log_test : public testing::Test {
protected:
    void SetUp() override {
        FILE* file = std::tmpfile();
        ASSERT_NE(file, nullptr);
        file_ = unique_fd(::dup(::fileno(file)));
        std::fclose(file);
        // Several threads share the offset only when every write appends.
        ASSERT_EQ(::fcntl(file_.get(), F_SETFL, O_APPEND), 0);
        log::set_descriptor(file_.get());
    }
    void TearDown() override {
        log::set_descriptor(STDERR_FILENO);
        log::set_level(log::level::info);
    }
    std::vector<std::string> lines() const {
        std::string text(static_cast<std::size_t>(::lseek(file_.get(), 0, SEEK_END)), '\0');
        EXPECT_EQ(::pread(file_.get(), text.data(), text.size(), 0),
                  static_cast<ssize_t>(text.size()));
        EXPECT_TRUE(text.empty() || text.back() == '\n');
        std::vector<std::string> found;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at);
            found.push_back(text.substr(at, end - at));
            at = end + 1;
        }
        return found;
    }
    static std::string member(const std::string& line, std::string_view name) {
        const auto parsed = json::document::parse(line);
        EXPECT_TRUE(parsed) << line;
        std::string_view text;
        EXPECT_EQ(parsed->root()[name].get(text), simdjson::SUCCESS) << line;
        return std::string(text);
    }

    unique_fd file_;
};

TEST_F(log_test, a_line_is_one_json_object_with_level_time_message_and_fields) {
    log::warning("disk is filling", {{"path", "/var"},
                                     {"used", 93},
                                     {"ratio", 0.5},
                                     {"full", false},
                                     {"bytes", std::numeric_limits<std::uint64_t>::max()}});
    const auto written = lines();
    ASSERT_EQ(written.size(), 1U);
    EXPECT_EQ(member(written[0], "level"), "warning");
    EXPECT_EQ(member(written[0], "msg"), "disk is filling");
    EXPECT_EQ(member(written[0], "timestamp").size(),
              std::string_view("2026-01-31T23:59:59.123Z").size());
    EXPECT_TRUE(written[0].ends_with(
        R"("path":"/var","used":93,"ratio":0.5,"full":false,"bytes":18446744073709551615})"));
}

TEST_F(log_test, hostile_text_cannot_forge_a_line_or_a_field) {
    using namespace std::string_view_literals;
    for (const std::string_view hostile :
         {"\n{\"level\":\"error\",\"msg\":\"forged\"}"sv, "\"},\"level\":\"error\",{\""sv, "\r\n"sv,
          "\0\x01\x1b[31m"sv, "\\\""sv, "\xff\xfe\xc0\x80"sv, "\xe2\x80\xa8"sv, "\xed\xa0\x80"sv}) {
        log::info(hostile, {{"text", hostile}, {hostile, "as a name"}});
    }
    const auto written = lines();
    ASSERT_EQ(written.size(), 8U);
    for (const std::string& line : written) {
        EXPECT_EQ(member(line, "level"), "info");
        EXPECT_TRUE(json::is_valid_utf8(line));
        EXPECT_TRUE(std::ranges::none_of(line, [](char c) { return c >= 0 && c < 0x20; })) << line;
    }
}

TEST_F(log_test, lines_below_the_level_are_not_written) {
    log::debug("hidden");
    log::set_level(log::level::error);
    log::warning("hidden");
    log::error("shown");
    log::set_level(log::level::debug);
    log::debug("shown");
    const auto written = lines();
    ASSERT_EQ(written.size(), 2U);
    EXPECT_EQ(member(written[0], "level"), "error");
    EXPECT_EQ(member(written[1], "level"), "debug");
}

TEST_F(log_test, lines_of_several_threads_do_not_mix) {
    {
        std::vector<std::jthread> threads;
        threads.reserve(4);
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([i] {
                for (int n = 0; n < 500; ++n) {
                    log::info("a line", {{"thread", i}, {"padding", std::string(200, 'x')}});
                }
            });
        }
    }
    const auto written = lines();
    ASSERT_EQ(written.size(), 2000U);
    for (const std::string& line : written) {
        ASSERT_EQ(member(line, "msg"), "a line");
    }
}

}  // namespace
}  // namespace hearth
