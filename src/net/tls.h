#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/stream.h"

using SSL_CTX = struct ssl_ctx_st;

namespace hearth::net {

// Certificate, key and policy of TLS servers: TLS 1.2 and 1.3, Mozilla's "intermediate" ciphers.
// Shared by all connections and threads.
class tls_context {
public:
    // PEM files; the certificate file holds the chain. Errors name the file and what is wrong with
    // it.
    [[nodiscard]] static result<std::shared_ptr<const tls_context>> for_server(
        const std::string& certificate_file, const std::string& key_file);
    // For clients: verifies against `authorities_file`, or the system's when it is empty.
    [[nodiscard]] static result<std::shared_ptr<const tls_context>> for_client(
        const std::string& authorities_file);
    ~tls_context();
    tls_context(const tls_context&) = delete;
    tls_context& operator=(const tls_context&) = delete;

    [[nodiscard]] SSL_CTX* native() const noexcept { return context_; }

private:
    explicit tls_context(SSL_CTX* context) noexcept : context_(context) {}
    SSL_CTX* context_;
};

// TLS over any stream, OpenSSL through memory buffers, so that the bytes move by ring operations.
// The handshake is done when these return; on failure `inner` has been closed.
task<result<std::unique_ptr<stream>>> accept_tls(std::shared_ptr<const tls_context> context,
                                                 std::unique_ptr<stream> inner, deadline until);
task<result<std::unique_ptr<stream>>> connect_tls(std::shared_ptr<const tls_context> context,
                                                  std::unique_ptr<stream> inner,
                                                  std::string server_name, deadline until);

}  // namespace hearth::net
