#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "entrance.h"
#include "sandbox/client.h"
#include "sandbox_options.h"
#include "uring/ring.h"
#include "uring/signals.h"

namespace hearth {

// What must be done before privileges are dropped and threads exist.
struct groundwork {
    std::string data_dir;  // absolute
    unique_fd data_lock;
    unique_fd unpacker;  // the program hearth-unpack
    entrance door;
    sandbox::client sandboxes;
    uring::signal_watch signals;
};

struct groundwork_plan {
    // The same program on the same data folder finds what a killed one left: the first part of the
    // name that its sandboxes go by on this host.
    std::string_view name;
    std::string data_dir;
    std::vector<std::string> folders;  // below it: "code"
    const entrance_options& door;
    const sandbox_options& sandboxes;
};

// Takes the data folder, opens what only root may open, starts hearth-sandboxd, and then gives up
// root.
[[nodiscard]] result<groundwork> lay_groundwork(const groundwork_plan& plan);

// Where a program of this name keeps its data unless told otherwise.
[[nodiscard]] std::string default_data_dir(std::string_view program);

// The signals that a program hears. While there is one thread.
[[nodiscard]] result<uring::signal_watch> hear_signals();

// A server of these parts and its home ring, until it has stopped: the exit status.
template <class Server, class... Parts>
[[nodiscard]] result<int> serve_on_ring(Parts&... parts) {
    auto ring = uring::ring::create();
    if (!ring) {
        return propagate(ring);
    }
    Server server(parts..., **ring);
    if (auto opened = server.open(); !opened) {
        return propagate(opened);
    }
    return (*ring)->run(server.run());
}

}  // namespace hearth
