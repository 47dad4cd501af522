#include "worker/violations.h"

#include <cstdio>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace hearth::worker {
namespace {

using ::testing::HasSubstr;

// The log goes to a pipe, which holds what a test writes.
class violations_test : public ::testing::Test {
protected:
    void SetUp() override {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        read_end_ = unique_fd(ends[0]);
        write_end_ = unique_fd(ends[1]);
        log::set_descriptor(write_end_.get());
        function_.id = "one";
        function_.name = "probe";
        function_.revision = 3;
    }
    void TearDown() override { log::set_descriptor(STDERR_FILENO); }

    std::vector<std::string> lines() {
        write_end_.reset();
        log::set_descriptor(STDERR_FILENO);
        std::string text;
        char buffer[4096];
        for (ssize_t got = 0; (got = ::read(read_end_.get(), buffer, sizeof buffer)) > 0;) {
            text.append(buffer, static_cast<std::size_t>(got));
        }
        std::vector<std::string> out;
        for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;) {
            out.push_back(text.substr(0, end));
            text.erase(0, end + 1);
        }
        return out;
    }
    void report(violation kind = violation::strays) {
        found_.report(kind, function_, "request-1", "some details", now_);
    }

    unique_fd read_end_;
    unique_fd write_end_;
    faas::function function_;
    steady_time now_ = steady_time(seconds(1000));
    std::vector<violation> counted_;
    violations found_{[this](violation kind) {
        counted_.push_back(kind);
    }};
};

TEST_F(violations_test, each_is_counted_and_told_in_one_line_with_all_that_names_it) {
    report(violation::policy);
    EXPECT_EQ(counted_, std::vector{violation::policy});
    const auto told = lines();
    ASSERT_EQ(told.size(), 1u);
    for (const char* part :
         {R"("msg":"sandbox violation")", R"("kind":"policy")", R"("functionId":"one")",
          R"("revision":3)", R"("requestId":"request-1")", R"("details":"some details")"}) {
        EXPECT_THAT(told[0], HasSubstr(part));
    }
}

TEST_F(violations_test, a_flood_is_counted_in_full_and_told_in_part_with_the_rest_as_a_number) {
    for (int i = 0; i < 50; ++i) {
        report();
    }
    now_ += violations::refill;
    report();
    EXPECT_EQ(counted_.size(), 51u);
    const auto told = lines();
    ASSERT_EQ(told.size(), violations::burst + 1);
    EXPECT_THAT(told.back(), HasSubstr(R"("suppressed":30)"));
}

TEST_F(violations_test, a_loud_function_does_not_silence_another) {
    for (int i = 0; i < 50; ++i) {
        report();
    }
    function_.id = "another";
    report();
    EXPECT_EQ(lines().size(), violations::burst + 1);
}

TEST_F(violations_test, many_functions_share_one_allowance_once_too_many_are_remembered) {
    for (std::size_t i = 0; i < violations::functions_max + 50; ++i) {
        function_.id = concat("function-", i);
        found_.report(violation::strays, function_, "", "", now_);
        char buffer[1024];
        if (i < violations::functions_max + violations::burst) {
            ASSERT_GT(::read(read_end_.get(), buffer, sizeof buffer), 0);
        }
    }
    EXPECT_TRUE(lines().empty());
}

}  // namespace
}  // namespace hearth::worker
