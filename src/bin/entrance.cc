#include "entrance.h"

#include <cerrno>
#include <thread>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/concat.h"
#include "base/log.h"
#include "net/address.h"
#include "net/listener.h"

namespace hearth {
namespace {

std::string address_text(const entrance_options& options, std::uint16_t port) {
    const bool v6 = options.listen.contains(':');
    return concat(v6 ? "[" : "", options.listen, v6 ? "]:" : ":", port);
}

constexpr seconds release_wait{1};
constexpr milliseconds release_poll{10};

// A killed process is gone before the kernel has ended its ring, which holds the socket on which it
// listened: whoever starts it again at once waits for that.
template <class Attempt>
auto with_patience(Attempt attempt) {
    const deadline patience = after(release_wait);
    for (;;) {
        auto made = attempt();
        if (made || made.error().os_error != EADDRINUSE || steady_clock::now() >= patience) {
            return made;
        }
        std::this_thread::sleep_for(release_poll);
    }
}

// Binds without SO_REUSEPORT, which fails where any other socket listens, and lets go again.
result<> check_unused(const std::string& where, std::string_view remedy) {
    auto address = net::parse_address(where);
    if (!address) {
        return propagate(address);
    }
    const unique_fd probe(::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!probe || ::setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return fail_errno("socket");
    }
    return with_patience([&]() -> result<> {
        if (::bind(probe.get(), address->data(), address->size) != 0) {
            return fail_errno(concat("cannot listen on ", where, ", ", remedy));
        }
        return {};
    });
}

result<> open_listeners(const entrance_options& options, entrance& into) {
    into.port = options.port;
    if (into.port != 0) {
        auto unused = check_unused(address_text(options, into.port),
                                   "choose another --port or --listen, or stop what uses it");
        if (!unused) {
            return unused;
        }
    }
    for (std::size_t i = 0; i < options.threads; ++i) {
        auto fd = net::open_listening_socket(address_text(options, into.port));
        if (!fd) {
            return propagate(fd);
        }
        into.port = net::local_port(fd->get());
        into.listening.push_back(std::move(*fd));
    }
    return {};
}

result<unique_fd> open_port_file(const std::string& path) {
    if (path.empty()) {
        return unique_fd();
    }
    unique_fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) {
        return fail_errno(concat("cannot write --port-file ", path));
    }
    return fd;
}

}  // namespace

void entrance::announce_port() const {
    if (!port_file) {
        return;
    }
    const std::string line = concat(port, "\n");
    if (::write(port_file.get(), line.data(), line.size()) < 0) {
        log::warning("the port file cannot be written", {{"port", port}});
    }
}

result<entrance> open_entrance(const entrance_options& options) {
    entrance opened;
    if (!options.tls_certificate.empty()) {
        auto made = net::tls_context::for_server(options.tls_certificate, options.tls_key);
        if (!made) {
            return propagate(made);
        }
        opened.tls = std::move(*made);
    }
    auto port_file = open_port_file(options.port_file);
    if (!port_file) {
        return propagate(port_file);
    }
    opened.port_file = std::move(*port_file);
    if (auto listening = open_listeners(options, opened); !listening) {
        return propagate(listening);
    }
    opened.url = concat(opened.tls ? "https://" : "http://", address_text(options, opened.port));
    return opened;
}

result<unique_fd> open_lane_door(const std::string& address, const service_user& user) {
    if (!address.starts_with('/')) {
        if (auto unused = check_unused(address, "choose another LANE_PORT, or stop what uses it");
            !unused) {
            return propagate(unused);
        }
        return net::open_listening_socket(address);
    }
    const net::socket_file file{.uid = user.uid, .gid = user.gid};
    return with_patience(
        [&] { return net::open_listening_socket(address, net::listen_backlog_default, &file); });
}

}  // namespace hearth
