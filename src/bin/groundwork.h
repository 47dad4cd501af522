#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "dev_options.h"
#include "net/tls.h"
#include "sandbox/client.h"
#include "uring/signals.h"

namespace hearth {

// What must be done before privileges are dropped and threads exist.
struct groundwork {
    unique_fd data_lock;
    unique_fd port_file;
    unique_fd unpacker;  // the program hearth-unpack
    std::vector<unique_fd> listening;
    std::uint16_t port = 0;
    std::shared_ptr<const net::tls_context> tls;
    sandbox::client sandboxes;
    uring::signal_watch signals;
};

// Takes the data folder, starts hearth-sandboxd, opens what only root may open, and then gives up
// root. `options.data_dir` becomes absolute.
[[nodiscard]] result<groundwork> lay_groundwork(dev_options& options);

}  // namespace hearth
