#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/tls.h"
#include "privileges.h"

namespace hearth {

// Where a program serves HTTP.
struct entrance_options {
    std::string listen = "127.0.0.1";  // numeric
    std::uint16_t port = 8080;         // 0 takes a free one
    std::string port_file;             // receives the port once the server listens
    std::size_t threads = 1;
    std::string tls_certificate;  // with tls_key: serve TLS
    std::string tls_key;
};

// What of it only root may open, or only while privileges are not dropped yet.
struct entrance {
    std::vector<unique_fd> listening;  // one for each thread, on one port
    std::uint16_t port = 0;
    unique_fd port_file;
    std::shared_ptr<const net::tls_context> tls;
    std::string url;  // for people: http://127.0.0.1:8080

    // Tells whoever waits for the port file that the server listens.
    void announce_port() const;
};

// errc with a remedy when the address cannot be had, also when another Hearth listens on it: that
// one's sockets allow sharing, so the kernel alone would divide the clients between the two.
[[nodiscard]] result<entrance> open_entrance(const entrance_options& options);

// Where workers open lanes, by the same rules: "127.0.0.1:7070" or the path of a Unix socket, which
// is `user`'s and the user's group's, and nobody else's. Before privileges are dropped: only root
// can give a file away, and the folder may be root's.
[[nodiscard]] result<unique_fd> open_lane_door(const std::string& address,
                                               const service_user& user);

}  // namespace hearth
