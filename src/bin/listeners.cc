#include "listeners.h"

#include <cerrno>
#include <string>

#include <sys/socket.h>

#include "base/concat.h"
#include "net/address.h"
#include "net/listener.h"

namespace hearth {
namespace {

std::string address_text(const dev_options& options, std::uint16_t port) {
    const bool v6 = options.listen.contains(':');
    return concat(v6 ? "[" : "", options.listen, v6 ? "]:" : ":", port);
}

// Binds without SO_REUSEPORT, which fails where any other socket listens, and lets go again.
result<> check_unused(const std::string& where) {
    auto address = net::parse_address(where);
    if (!address) {
        return propagate(address);
    }
    const unique_fd probe(::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!probe || ::setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return fail_errno("socket");
    }
    if (::bind(probe.get(), address->data(), address->size) != 0) {
        const int os_error = errno;
        return fail_errno(concat("cannot listen on ", where,
                                 ", choose another --port or --listen, or stop what uses it"),
                          os_error);
    }
    return {};
}

}  // namespace

result<listeners> open_listeners(const dev_options& options) {
    listeners opened{.port = options.port};
    if (opened.port != 0) {
        if (auto unused = check_unused(address_text(options, opened.port)); !unused) {
            return propagate(unused);
        }
    }
    for (std::size_t i = 0; i < options.threads; ++i) {
        auto fd = net::open_listening_socket(address_text(options, opened.port));
        if (!fd) {
            return propagate(fd);
        }
        opened.port = net::local_port(fd->get());
        opened.sockets.push_back(std::move(*fd));
    }
    return opened;
}

}  // namespace hearth
