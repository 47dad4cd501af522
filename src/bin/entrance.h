#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/tls.h"

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

}  // namespace hearth
