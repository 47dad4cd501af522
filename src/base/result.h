#pragma once

#include <cerrno>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

// Errors are values on every data path. An error says what kind it is, so that callers can act, and
// carries a message that a person can act on.

namespace hearth {

enum class errc : std::uint8_t {
    invalid_argument,   // the caller's input is wrong
    not_found,          // the named thing does not exist
    conflict,           // it changed meanwhile, or exists already
    too_large,          // over a documented limit on size
    limit_exceeded,     // a queue, pool or table is full: try again later
    deadline_exceeded,  // the absolute deadline passed
    cancelled,          // stop was requested
    closed,             // the peer ended the stream, or the object was closed
    unavailable,        // a service this depends on cannot be reached
    permission_denied,  // the kernel or a service refused
    rejected,           // a service did not accept what this program made: not the caller's mistake
    protocol,           // the peer broke the protocol
    corrupt,            // stored data does not match its checksum or format
    io,                 // a system call failed; os_error holds its errno
    internal,           // a bug that was contained
};

[[nodiscard]] std::string_view to_string(errc code) noexcept;

struct error {
    errc code = errc::internal;
    std::string message;
    int os_error = 0;  // errno, or 0 when no system call was involved
};

template <class T = void>
using result = std::expected<T, error>;

[[nodiscard]] inline std::unexpected<error> fail(errc code, std::string message) {
    return std::unexpected<error>(error{code, std::move(message), 0});
}

// For a failed system call: "<what>: <strerror>". `code` defaults to the class the errno belongs
// to.
[[nodiscard]] std::unexpected<error> fail_errno(std::string_view what, int os_error = errno);

// Hands a failed result's error on under another value type.
template <class T>
[[nodiscard]] std::unexpected<error> propagate(result<T>& failed) {
    return std::unexpected<error>(std::move(failed.error()));
}
template <class T>
[[nodiscard]] std::unexpected<error> propagate(result<T>&& failed) {
    return std::unexpected<error>(std::move(failed.error()));
}

}  // namespace hearth
