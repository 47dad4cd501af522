#include "base/service_manager.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>

#include <sys/socket.h>
#include <sys/un.h>

#include "base/concat.h"
#include "base/json.h"

namespace hearth {
namespace {

std::string take_variable(const char* name) {
    const char* found = ::getenv(name);
    std::string value = found == nullptr ? "" : found;
    ::unsetenv(name);
    return value;
}

std::optional<std::int64_t> positive_number(std::string_view text) {
    std::int64_t number = 0;
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const auto [stopped, code] = std::from_chars(begin, end, number);
    if (code != std::errc() || stopped != end || number <= 0) {
        return std::nullopt;
    }
    return number;
}

// A newline would begin another assignment; half a character is no text.
std::string one_line(std::string_view text) {
    auto end = std::min(text.size(), service_status_bytes_max);
    while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
        --end;
    }
    auto line = json::replace_invalid_utf8(text.substr(0, end));
    for (char& c : line) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            c = ' ';
        }
    }
    return line;
}

std::string with_status(std::string_view message, std::string_view status) {
    return status.empty() ? std::string(message) : concat(message, "\nSTATUS=", one_line(status));
}

// The watchdog of this process, not of one that started it and left its variables.
std::optional<microseconds> watchdog_of(const std::string& usec, const std::string& pid) {
    const auto period = positive_number(usec);
    if (!period || (!pid.empty() && positive_number(pid) != ::getpid())) {
        return std::nullopt;
    }
    return microseconds(std::max<std::int64_t>(*period / 2, 1));
}

}  // namespace

result<service_manager> service_manager::from_environment() {
    auto address = take_variable("NOTIFY_SOCKET");
    const auto usec = take_variable("WATCHDOG_USEC");
    const auto pid = take_variable("WATCHDOG_PID");
    service_manager manager;
    if (address.empty()) {
        return manager;
    }
    const bool abstract = address.front() == '@';
    if ((!abstract && address.front() != '/') || address.size() < 2 ||
        address.size() >= sizeof(sockaddr_un::sun_path)) {
        return fail(
            errc::invalid_argument,
            concat("NOTIFY_SOCKET is '", address,
                   "', neither an absolute path nor @NAME of fewer than ",
                   sizeof(sockaddr_un::sun_path), " bytes; remove it from the environment"));
    }
    if (abstract) {
        address.front() = '\0';
    }
    manager.socket_ = unique_fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!manager.socket_) {
        return fail_errno("cannot make a socket for the service manager");
    }
    manager.address_ = std::move(address);
    manager.watchdog_ = watchdog_of(usec, pid);
    return manager;
}

result<> service_manager::ready(std::string_view status) const {
    return send(with_status("READY=1", status));
}

result<> service_manager::status(std::string_view status) const {
    return send(concat("STATUS=", one_line(status)));
}

result<> service_manager::watchdog() const {
    return send("WATCHDOG=1");
}

result<> service_manager::stopping(std::string_view status) const {
    return send(with_status("STOPPING=1", status));
}

result<> service_manager::extend_timeout(microseconds duration) const {
    return send(concat("EXTEND_TIMEOUT_USEC=", duration.count()));
}

result<> service_manager::send(std::string_view message) const {
    if (!present()) {
        return {};
    }
    sockaddr_un to{.sun_family = AF_UNIX, .sun_path = {}};
    address_.copy(to.sun_path, sizeof to.sun_path);
    // A path ends with NUL; an abstract name is exactly as long as it is.
    const bool abstract = address_.front() == '\0';
    const auto length = offsetof(sockaddr_un, sun_path) + address_.size() + (abstract ? 0 : 1);
    const auto sent =
        ::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(&to), static_cast<socklen_t>(length));
    if (sent >= 0) {
        return {};
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
        return fail(errc::limit_exceeded, "the service manager does not read its messages");
    }
    return fail_errno("cannot tell the service manager");
}

}  // namespace hearth
