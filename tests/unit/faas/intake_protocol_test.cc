#include "faas/archive/intake_protocol.h"

#include <csignal>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "faas/function.h"
#include "tests/support/sockets.h"

namespace hearth::faas {
namespace {

TEST(intake_report, says_the_same_when_it_is_read) {
    const archive_summary good{
        .entries = 7, .unpacked_bytes = 1000, .has_main = true, .has_lambda_function = true};
    EXPECT_EQ(decode_report(encode_report(good)).value().value(), good);
    for (const errc code : {errc::invalid_argument, errc::too_large, errc::unavailable}) {
        const auto read = decode_report(encode_report(fail(code, "zip: no “good”"))).value();
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, code);
        EXPECT_EQ(read.error().message, "zip: no “good”");
    }
    const auto host = decode_report(encode_report(fail_errno("zip: write", ENOSPC))).value();
    EXPECT_EQ(host.error().os_error, ENOSPC);
}

TEST(intake_report, cuts_a_long_message_between_characters) {
    std::string text;
    while (text.size() < 2 * report_bytes) {
        text += "“";
    }
    const auto read = decode_report(encode_report(fail(errc::too_large, text)));
    ASSERT_TRUE(read);
    EXPECT_TRUE(text.starts_with(read->error().message));
    EXPECT_GT(read->error().message.size(), 400u);
}

// Offsets as docs/protocol.md has them.
struct lie {
    const char* what;
    std::size_t offset;
    std::uint64_t value;
    std::size_t size;
};

report_packet changed(report_packet packet, const lie& how) {
    std::memcpy(packet.data() + how.offset, &how.value, how.size);
    return packet;
}

TEST(intake_report, is_refused_when_any_field_is_out_of_range) {
    const report_packet good = encode_report(archive_summary{.entries = 1, .unpacked_bytes = 5});
    for (const lie& each :
         {lie{"version", 0, 2, 4}, lie{"end", 4, 4, 4}, lie{"flags", 8, 4, 4},
          lie{"errno", 12, 1, 4}, lie{"entries", 16, unpacked_entries_max + 1, 8},
          lie{"bytes", 24, unpacked_bytes_max + 1, 8}, lie{"text of success", 32, 1, 4},
          lie{"reserved", 36, 1, 4}, lie{"text beyond its length", 40, 'x', 1}}) {
        EXPECT_FALSE(decode_report(changed(good, each))) << each.what;
    }
    const report_packet bad = encode_report(fail(errc::invalid_argument, "zip: bad"));
    for (const lie& each :
         {lie{"flags", 8, 1, 4}, lie{"errno", 12, 5000, 4}, lie{"entries", 16, 1, 8},
          lie{"bytes", 24, 1, 8}, lie{"no text", 32, 0, 4}, lie{"text shorter than said", 32, 7, 4},
          lie{"text longer than there is room", 32, 473, 4}, lie{"control", 41, 0x1b, 1},
          lie{"line end", 41, '\n', 1}, lie{"not UTF-8", 41, 0xff, 1},
          lie{"success with a text", 4, 0, 4}}) {
        EXPECT_FALSE(decode_report(changed(bad, each))) << each.what;
    }
    EXPECT_FALSE(decode_report(std::span(good).first(report_bytes - 1)));
    EXPECT_FALSE(decode_report({}));
}

TEST(intake_task, arrives_with_its_descriptors) {
    const auto pair = test::make_socket_pair(SOCK_SEQPACKET);
    const unique_fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const unique_fd folder(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(send_task(pair.ours.get(), intake_work::check, file.get(), -1));
    ASSERT_TRUE(send_task(pair.ours.get(), intake_work::unpack, file.get(), folder.get()));
    const auto check = receive_task(pair.theirs.get());
    ASSERT_TRUE(check && check->has_value());
    EXPECT_EQ((*check)->work, intake_work::check);
    EXPECT_TRUE((*check)->archive);
    EXPECT_FALSE((*check)->directory);
    const auto unpack = receive_task(pair.theirs.get());
    ASSERT_TRUE(unpack && unpack->has_value());
    EXPECT_TRUE((*unpack)->archive && (*unpack)->directory);
    EXPECT_EQ(::fcntl((*unpack)->directory.get(), F_GETFD), FD_CLOEXEC);
}

TEST(intake_task, is_refused_without_its_descriptors_or_when_unknown) {
    const auto pair = test::make_socket_pair(SOCK_SEQPACKET);
    const unique_fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::size_t before = test::open_descriptors();
    test::write_fully(pair.ours, std::string("\1\0\0\0\1\0\0\0", 8));
    EXPECT_FALSE(receive_task(pair.theirs.get()));
    ASSERT_TRUE(send_task(pair.ours.get(), static_cast<intake_work>(9), file.get(), -1));
    EXPECT_FALSE(receive_task(pair.theirs.get()));
    test::write_fully(pair.ours, "too long for a task");
    EXPECT_FALSE(receive_task(pair.theirs.get()));
    EXPECT_EQ(test::open_descriptors(), before);
}

TEST(intake_task, ends_with_the_socket) {
    auto pair = test::make_socket_pair(SOCK_SEQPACKET);
    pair.ours.reset();
    const auto none = receive_task(pair.theirs.get());
    ASSERT_TRUE(none);
    EXPECT_FALSE(none->has_value());
    const unique_fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    auto other = test::make_socket_pair(SOCK_SEQPACKET);
    other.theirs.reset();
    EXPECT_EQ(send_task(other.ours.get(), intake_work::check, file.get(), -1).error().code,
              errc::closed);
}

}  // namespace
}  // namespace hearth::faas
