#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace hearth::http {

struct client_response {
    int status = 0;
    std::string head;  // status line and header lines
    std::string body;

    // The value of a header; empty when it is absent.
    [[nodiscard]] std::string header(std::string_view name) const;
};

// A blocking HTTP client that sends exactly the bytes that it is given. A receive gives up after 30
// seconds, so that a server that hangs fails the test.
class test_client {
public:
    explicit test_client(std::uint16_t port);

    [[nodiscard]] bool connected() const { return static_cast<bool>(fd_); }
    // False when the server has closed.
    bool send(std::string_view bytes);
    void shutdown_write();
    // Closes with a reset instead of an orderly end.
    void reset_connection();
    void close() { fd_.reset(); }

    // The next response, "100 Continue" included; nothing at the end of the stream or after a
    // reset. `to_head`: the request was HEAD.
    std::optional<client_response> read_response(bool to_head = false);
    // True when the server closes without sending anything more.
    bool at_end();

private:
    bool receive();

    unique_fd fd_;
    std::string unread_;
};

}  // namespace hearth::http
