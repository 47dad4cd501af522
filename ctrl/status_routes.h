#pragma once

#include <functional>
#include <string>

#include "http/router.h"
#include "uring/ring.h"

namespace hearth::ctrl {

// /health and /metrics, which every program has. Handlers run on their connection's thread and ask
// on the home ring.
class status_routes {
public:
    // `metrics_text` renders /metrics; `unhealthy` says why /health is not 200, or is empty. All
    // outlive it.
    status_routes(uring::ring& home, std::function<task<std::string>()> metrics_text,
                  std::function<std::string()> unhealthy);

    // Both, open to whoever can reach the port.
    void add_routes(http::router& routes);

    task<http::response> metrics();
    task<http::response> health();

private:
    task<std::string> trouble_at_home();

    uring::ring& home_;
    std::function<task<std::string>()> metrics_text_;
    std::function<std::string()> unhealthy_;
};

}  // namespace hearth::ctrl
