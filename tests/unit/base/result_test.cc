#include "base/result.h"

#include <cerrno>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/check.h"
#include "base/concat.h"
#include "base/unique_fd.h"

namespace hearth {
namespace {

TEST(result, a_failure_carries_its_kind_and_message) {
    const result<int> failed = fail(errc::conflict, "changed meanwhile");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, errc::conflict);
    EXPECT_EQ(failed.error().message, "changed meanwhile");
    EXPECT_EQ(failed.error().os_error, 0);
}

TEST(result, a_failed_system_call_keeps_its_errno_and_says_what_was_tried) {
    errno = ENOENT;
    const result<> failed = fail_errno("open /nowhere");
    EXPECT_EQ(failed.error().message, "open /nowhere: No such file or directory");
    EXPECT_EQ(failed.error().os_error, ENOENT);
}

TEST(result, an_errno_is_sorted_into_the_kind_that_callers_act_on) {
    const struct {
        int os_error;
        errc code;
    } table[] = {
        {ECANCELED, errc::cancelled},
        {ETIMEDOUT, errc::deadline_exceeded},
        {ETIME, errc::deadline_exceeded},
        {EPIPE, errc::closed},
        {ECONNRESET, errc::closed},
        {ENOENT, errc::not_found},
        {EEXIST, errc::conflict},
        {EACCES, errc::permission_denied},
        {EPERM, errc::permission_denied},
        {ECONNREFUSED, errc::unavailable},
        {EHOSTUNREACH, errc::unavailable},
        {ENETUNREACH, errc::unavailable},
        {EIO, errc::io},
        {ENOSPC, errc::io},
    };
    for (const auto& each : table) {
        EXPECT_EQ(fail_errno("call", each.os_error).error().code, each.code) << each.os_error;
    }
}

TEST(result, a_failure_is_handed_on_whole_under_another_type) {
    const auto inner = []() -> result<int> {
        return fail_errno("read", EIO);
    };
    const auto outer = [&]() -> result<std::string> {
        auto number = inner();
        return propagate(number);
    };
    EXPECT_EQ(outer().error().os_error, EIO);
    EXPECT_EQ(outer().error().message, "read: Input/output error");
}

TEST(result, every_kind_has_a_name_of_its_own) {
    std::set<std::string_view> names;
    for (int code = 0; code <= static_cast<int>(errc::internal); ++code) {
        names.insert(to_string(static_cast<errc>(code)));
    }
    EXPECT_EQ(names.size(), static_cast<std::size_t>(errc::internal) + 1);
}

TEST(concat, joins_text_characters_and_integers_of_every_width) {
    EXPECT_EQ(concat(), "");
    EXPECT_EQ(concat("a", 'b', std::string("c"), std::string_view("d"), 1, -2L, 3U), "abcd1-23");
    EXPECT_EQ(concat(std::numeric_limits<std::int64_t>::min(), " ",
                     std::numeric_limits<std::uint64_t>::max()),
              "-9223372036854775808 18446744073709551615");
    EXPECT_EQ(concat(std::uint8_t{200}, std::int8_t{-5}), "200-5");
}

bool is_open(int fd) {
    return ::write(fd, "", 0) == 0 || errno != EBADF;
}

TEST(unique_fd, closes_once_and_moves_its_ownership) {
    const int number = ::dup(STDERR_FILENO);
    {
        unique_fd first(number);
        unique_fd second = std::move(first);
        EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
        EXPECT_EQ(second.get(), number);
        unique_fd& same = second;
        second = std::move(same);
        EXPECT_TRUE(is_open(number));
        first = std::move(second);
        EXPECT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
    unique_fd released(::dup(STDERR_FILENO));
    const int kept = released.release();
    EXPECT_FALSE(released);
    EXPECT_TRUE(is_open(kept));
    ::close(kept);
}

TEST(check_death, a_failed_check_names_the_condition_and_the_place) {
    HEARTH_CHECK(1 + 1 == 2, "arithmetic");
    EXPECT_DEATH(HEARTH_CHECK(1 + 1 == 3, "arithmetic"),
                 "bug: arithmetic \\(1 \\+ 1 == 3\\) at .*result_test.cc");
}

}  // namespace
}  // namespace hearth
