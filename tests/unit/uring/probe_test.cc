#include "uring/probe.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::uring {
namespace {

TEST(probe, every_known_failure_names_its_cause_and_a_remedy) {
    const struct {
        int os_error;
        const char* remedy;
    } table[] = {
        {ENOSYS, "Use Linux 6.1 or newer"},
        {EPERM, "io_uring"},
        {EINVAL, "Linux 6.1"},
        {ENOMEM, "ulimit -l"},
        {EMFILE, "ulimit -n"},
        {ENFILE, "ulimit -n"},
        {EIO, "Input/output error"},
    };
    for (const auto& each : table) {
        const error explained = explain_setup_failure(each.os_error).error();
        EXPECT_THAT(explained.message, testing::HasSubstr("io_uring cannot be set up"));
        EXPECT_THAT(explained.message, testing::HasSubstr(each.remedy));
        EXPECT_EQ(explained.os_error, each.os_error);
    }
}

TEST(probe, this_kernel_has_what_is_needed) {
    io_uring kernel{};
    io_uring_params parameters{};
    ASSERT_EQ(io_uring_queue_init_params(8, &kernel, &parameters), 0);
    const auto usable = check_features(kernel, parameters.features);
    EXPECT_TRUE(usable) << usable.error().message;
    const auto too_old = check_features(kernel, 0);
    EXPECT_EQ(too_old.error().code, errc::unavailable);
    EXPECT_THAT(too_old.error().message, testing::HasSubstr("Use Linux 6.1 or newer"));
    io_uring_queue_exit(&kernel);
}

}  // namespace
}  // namespace hearth::uring
