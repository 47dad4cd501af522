#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

// Messages to the service manager that started this process: systemd, or whatever else sets
// NOTIFY_SOCKET (sd_notify(3)). One datagram each, to a path or an abstract address.
//
// Without a service manager every message is a success that does nothing, so that callers need not
// ask. No call waits: where the manager does not read, the answer is errc::limit_exceeded, and the
// caller sends again at its next turn. Any thread; nothing is shared but the socket.

namespace hearth {

inline constexpr std::size_t service_status_bytes_max = 1024;  // longer ones are cut

class service_manager {
public:
    service_manager() = default;  // none

    // From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which it removes from the environment: a
    // child must not speak for this process. At the start, while there is one thread.
    // errc::invalid_argument when NOTIFY_SOCKET is neither a path nor "@name".
    [[nodiscard]] static result<service_manager> from_environment();

    [[nodiscard]] bool present() const noexcept { return static_cast<bool>(socket_); }

    // How often watchdog() is due: half of what the manager waits before it ends the process, as
    // sd_watchdog_enabled(3) advises. Nothing when no watchdog was asked for.
    [[nodiscard]] std::optional<microseconds> watchdog_interval() const noexcept {
        return watchdog_;
    }

    // Start-up is complete. `status` is a line for people; an empty one says nothing.
    [[nodiscard]] result<> ready(std::string_view status) const;
    [[nodiscard]] result<> status(std::string_view status) const;
    [[nodiscard]] result<> watchdog() const;
    // The drain has begun.
    [[nodiscard]] result<> stopping(std::string_view status) const;
    // Starting or stopping goes on for at least this long from now; sent again before it passes.
    [[nodiscard]] result<> extend_timeout(microseconds duration) const;

private:
    [[nodiscard]] result<> send(std::string_view message) const;

    unique_fd socket_;
    std::string address_;  // the bytes of sun_path; begins with NUL when abstract
    std::optional<microseconds> watchdog_;
};

}  // namespace hearth
