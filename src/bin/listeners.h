#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "dev_options.h"

namespace hearth {

// The listening sockets of all threads, on one port.
struct listeners {
    std::vector<unique_fd> sockets;  // one for each thread
    std::uint16_t port = 0;
};

// errc with a remedy when the address cannot be had, also when another Hearth listens on it: that
// one's sockets allow sharing, so the kernel alone would divide the clients between the two.
[[nodiscard]] result<listeners> open_listeners(const dev_options& options);

}  // namespace hearth
