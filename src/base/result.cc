#include "base/result.h"

#include <cstring>

namespace hearth {

std::string_view to_string(errc code) noexcept {
    switch (code) {
        case errc::invalid_argument:
            return "invalid_argument";
        case errc::not_found:
            return "not_found";
        case errc::conflict:
            return "conflict";
        case errc::too_large:
            return "too_large";
        case errc::limit_exceeded:
            return "limit_exceeded";
        case errc::deadline_exceeded:
            return "deadline_exceeded";
        case errc::cancelled:
            return "cancelled";
        case errc::closed:
            return "closed";
        case errc::unavailable:
            return "unavailable";
        case errc::permission_denied:
            return "permission_denied";
        case errc::rejected:
            return "rejected";
        case errc::protocol:
            return "protocol";
        case errc::corrupt:
            return "corrupt";
        case errc::io:
            return "io";
        case errc::internal:
            return "internal";
    }
    return "internal";
}

namespace {

errc classify(int os_error) noexcept {
    switch (os_error) {
        case ECANCELED:
            return errc::cancelled;
        case ETIME:
        case ETIMEDOUT:
            return errc::deadline_exceeded;
        case EPIPE:
        case ECONNRESET:
            return errc::closed;
        case ENOENT:
            return errc::not_found;
        case EEXIST:
            return errc::conflict;
        case EACCES:
        case EPERM:
            return errc::permission_denied;
        case ECONNREFUSED:
        case EHOSTUNREACH:
        case ENETUNREACH:
            return errc::unavailable;
        default:
            return errc::io;
    }
}

}  // namespace

std::unexpected<error> fail_errno(std::string_view what, int os_error) {
    char buffer[128];
    std::string message(what);
    message += ": ";
    message += ::strerror_r(os_error, buffer, sizeof buffer);  // the GNU form returns the text
    return std::unexpected<error>(error{classify(os_error), std::move(message), os_error});
}

}  // namespace hearth
