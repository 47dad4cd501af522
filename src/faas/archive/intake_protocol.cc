#include "faas/archive/intake_protocol.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include <sys/socket.h>

#include "base/json.h"
#include "faas/function.h"

namespace hearth::faas {
namespace {

constexpr std::uint32_t version = 1;
constexpr std::size_t task_bytes = 8;
constexpr std::size_t descriptors_max = 2;

struct task_packet {
    std::uint32_t version = 0;
    std::uint32_t work = 0;
};
static_assert(sizeof(task_packet) == task_bytes);

enum class outcome : std::uint32_t { done = 0, invalid = 1, too_large = 2, host = 3 };
constexpr std::uint32_t flag_main = 1;
constexpr std::uint32_t flag_lambda_function = 2;

struct report_fields {
    std::uint32_t version = 0;
    std::uint32_t end = 0;
    std::uint32_t flags = 0;
    std::uint32_t os_error = 0;
    std::uint64_t entries = 0;
    std::uint64_t unpacked_bytes = 0;
    std::uint32_t text_bytes = 0;
    std::uint32_t reserved = 0;
    std::array<char, 472> text{};
};
static_assert(sizeof(report_fields) == report_bytes);

constexpr std::uint32_t os_error_max = 4095;  // the kernel's MAX_ERRNO

outcome outcome_of(errc code) noexcept {
    switch (code) {
        case errc::invalid_argument:
            return outcome::invalid;
        case errc::too_large:
            return outcome::too_large;
        default:
            return outcome::host;
    }
}

// Cut at a character's boundary.
std::string_view cut(std::string_view text, std::size_t bytes) {
    text = text.substr(0, bytes);
    while (!text.empty() && !json::is_valid_utf8(text)) {
        text.remove_suffix(1);
    }
    return text;
}

bool is_plain(std::string_view text) {
    return json::is_valid_utf8(text) && std::ranges::none_of(text, [](char c) {
               return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
           });
}

bool all_zero(std::span<const char> rest) {
    return std::ranges::all_of(rest, [](char c) { return c == 0; });
}

std::unexpected<error> broken() {
    return fail(errc::protocol, "hearth-unpack sent what is no report");
}

result<archive_summary> end_of(const report_fields& report, std::string_view text) {
    switch (static_cast<outcome>(report.end)) {
        case outcome::done:
            return archive_summary{
                .entries = static_cast<std::size_t>(report.entries),
                .unpacked_bytes = static_cast<std::size_t>(report.unpacked_bytes),
                .has_main = (report.flags & flag_main) != 0,
                .has_lambda_function = (report.flags & flag_lambda_function) != 0};
        case outcome::invalid:
            return fail(errc::invalid_argument, std::string(text));
        case outcome::too_large:
            return fail(errc::too_large, std::string(text));
        case outcome::host:
            break;
    }
    auto failed = report.os_error != 0 ? fail_errno("", static_cast<int>(report.os_error))
                                       : fail(errc::unavailable, "");
    failed.error().message = text;
    return failed;
}

}  // namespace

result<> send_task(int socket, intake_work work, int archive, int directory) {
    task_packet packet{.version = version, .work = static_cast<std::uint32_t>(work)};
    const std::array descriptors{archive, directory};
    const std::size_t count = work == intake_work::unpack ? 2 : 1;
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof descriptors)> control{};
    iovec part{.iov_base = &packet, .iov_len = sizeof packet};
    msghdr message{.msg_iov = &part,
                   .msg_iovlen = 1,
                   .msg_control = control.data(),
                   .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), descriptors.data(), count * sizeof(int));
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        return errno == EPIPE || errno == ECONNRESET
                   ? result<>(fail(errc::closed, "hearth-unpack is gone"))
                   : result<>(fail_errno("cannot hand an archive to hearth-unpack"));
    }
    return {};
}

result<std::optional<intake_task>> receive_task(int socket) {
    task_packet packet;
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(descriptors_max * sizeof(int))> control{};
    iovec part{.iov_base = &packet, .iov_len = sizeof packet};
    msghdr message{.msg_iov = &part,
                   .msg_iovlen = 1,
                   .msg_control = control.data(),
                   .msg_controllen = control.size()};
    ssize_t count = 0;
    do {
        count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        return fail_errno("receiving a task");
    }
    std::array<unique_fd, descriptors_max> descriptors;
    std::size_t held = 0;
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
         each = CMSG_NXTHDR(&message, each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t here = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < here && held < descriptors_max; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(each) + i * sizeof fd, sizeof fd);
            descriptors[held++].reset(fd);
        }
    }
    if (count == 0) {
        return std::optional<intake_task>();
    }
    const auto work = static_cast<intake_work>(packet.work);
    const std::size_t expected = work == intake_work::unpack ? 2 : 1;
    if (count != task_bytes || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        packet.version != version || held != expected ||
        (work != intake_work::check && work != intake_work::unpack)) {
        return fail(errc::protocol, "the server sent what is no task");
    }
    return std::optional<intake_task>(intake_task{.work = work,
                                                  .archive = std::move(descriptors[0]),
                                                  .directory = std::move(descriptors[1])});
}

report_packet encode_report(const result<archive_summary>& end) {
    report_fields report{.version = version};
    if (end) {
        report.entries = end->entries;
        report.unpacked_bytes = end->unpacked_bytes;
        report.flags =
            (end->has_main ? flag_main : 0) | (end->has_lambda_function ? flag_lambda_function : 0);
    } else {
        report.end = static_cast<std::uint32_t>(outcome_of(end.error().code));
        report.os_error = static_cast<std::uint32_t>(end.error().os_error);
        const std::string_view text = cut(end.error().message, report.text.size());
        report.text_bytes = static_cast<std::uint32_t>(text.size());
        text.copy(report.text.data(), text.size());
    }
    report_packet packet;
    std::memcpy(packet.data(), &report, sizeof report);
    return packet;
}

result<result<archive_summary>> decode_report(std::span<const std::byte> packet) {
    report_fields report;
    if (packet.size() != sizeof report) {
        return broken();
    }
    std::memcpy(&report, packet.data(), sizeof report);
    if (report.version != version || report.reserved != 0 ||
        report.end > static_cast<std::uint32_t>(outcome::host) ||
        report.text_bytes > report.text.size() ||
        !all_zero(std::span(report.text).subspan(report.text_bytes))) {
        return broken();
    }
    const std::string_view text(report.text.data(), report.text_bytes);
    const bool done = report.end == static_cast<std::uint32_t>(outcome::done);
    const bool plausible = done ? text.empty() && report.os_error == 0 &&
                                      report.flags <= (flag_main | flag_lambda_function) &&
                                      report.entries <= unpacked_entries_max &&
                                      report.unpacked_bytes <= unpacked_bytes_max
                                : !text.empty() && is_plain(text) &&
                                      report.os_error <= os_error_max && report.flags == 0 &&
                                      report.entries == 0 && report.unpacked_bytes == 0;
    if (!plausible) {
        return broken();
    }
    return end_of(report, text);
}

}  // namespace hearth::faas
